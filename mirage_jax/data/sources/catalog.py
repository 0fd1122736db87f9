"""Sources: clips by index, whatever they come from.

A source has a length, and `source[i]` is a `Clip` of NumPy arrays. All clips
of a source have the same shape (of several together: but for their objects).
"""

import inspect
import pathlib
from collections.abc import Callable, Sequence, Set
from typing import Any, SupportsIndex

from mirage_jax.data.caches import Cache, check_index
from mirage_jax.data.resizing import resize_clip
from mirage_jax.data.sources.folder import FolderSource
from mirage_jax.data.sources.npz import NpzSource
from mirage_jax.data.sources.traits import Traits
from mirage_jax.data.sources.world import WorldSource
from mirage_jax.geometry.clips import Clip, take_frames
from mirage_jax.worlds.config import KINDS, WorldConfig

DOOM = 'doom'  # levels of a game, played by ViZDoom
# Sources that are added: what makes one is given those of the options that it
# names. Clips are brought to the size that is asked for if it names none.
ADDED: dict[str, Callable[..., Any]] = {}
FITTED = ('frames', 'height', 'width')
CACHE_GB = 8.0  # of fitted clips

__all__ = [
  'FolderSource',
  'MixedSource',
  'WorldSource',
  'open_source',
  'parts_of',
  'turns_of',
]


class MixedSource:
  """Several sources as one: their clips take turns.

  Args:
    sources: at least one, with clips of one size.
    weights: turns that each source takes in a round; 1 each if None.

  Raises:
    ValueError: when there is none, or a weight is below 1.
  """

  def __init__(
    self, sources: Sequence[Any], weights: Sequence[int] | None = None
  ):
    if not sources:
      raise ValueError('a mixture of no sources; give at least one')
    weights = [1] * len(sources) if weights is None else list(weights)
    if min(weights) < 1:
      raise ValueError(f'weights {weights} of a mixture; expected 1 or more')
    self._sources, self._weights = list(sources), weights
    self._turns = [(i, j) for i, w in enumerate(weights) for j in range(w)]

  def __len__(self) -> int:
    each = zip(self._sources, self._weights, strict=True)
    return len(self._turns) * min(len(source) // w for source, w in each)

  def __getitem__(self, index: SupportsIndex) -> Clip:
    whole, turn = divmod(check_index(index, len(self)), len(self._turns))
    which, place = self._turns[turn]
    return self._sources[which][whole * self._weights[which] + place]


class FittedSource:
  """A recording's clips, cut to a length and brought to a size.

  Args:
    source: the recording.
    frames: of a clip, its first; None for all.
    height, width: of a frame, see `resize_clip`; None as recorded.

  Raises:
    ValueError: it has shorter clips (when the first is read).
  """

  def __init__(
    self,
    source: Any,
    frames: int | None = None,
    height: int | None = None,
    width: int | None = None,
  ):
    self._source = source
    self._frames, self._size = frames, (height, width)
    self._cache = Cache(CACHE_GB, len(source))

  def __len__(self) -> int:
    return len(self._source)

  def __getitem__(self, index: SupportsIndex) -> Clip:
    return self._cache.get(check_index(index, len(self)), self._fit)

  def _fit(self, index: int) -> Clip:
    clip = self._source[index]
    there, rows, columns = clip.depth_m.shape
    if self._frames is not None and self._frames > there:
      raise ValueError(
        f'a recording has clips of {there} frames, {self._frames} are asked '
        'for; ask for fewer'
      )
    clip = take_frames(clip, slice(self._frames))
    return resize_clip(clip, self._size[0] or rows, self._size[1] or columns)


def open_source(name: str, **options):
  """Opens `'rooms'`, `'streets'`, `'doom'` or a recording; or a mixture.

  Args:
    name: a kind of world, `'doom'`, one of `ADDED`, a folder with a
      `transforms.json`, an `.npz` of episodes, or the folder of a prepared
      dataset; several with commas between them take turns, as many as
      `NAME*TURNS` says.
    **options: of the source; for worlds also the fields of `WorldConfig`. Of
      these, recordings take `frames`, `height` and `width`; the others, of
      how worlds are rendered, do not concern them.

  Raises:
    ValueError: an unknown name or option.
  """
  parts = parts_of(name)
  if len(parts) > 1:
    each = [open_source(part, **options) for part, _ in parts]
    return MixedSource(each, [weight for _, weight in parts])
  own = inspect.signature(WorldSource).parameters.keys() - {'config'}
  fields = WorldConfig.__dataclass_fields__.keys() - {'kind'}
  if name in KINDS:
    _check_options(name, options, own | fields)
    config = {k: v for k, v in options.items() if k in fields}
    other = {k: v for k, v in options.items() if k in own}
    return WorldSource(WorldConfig(kind=name, **config), **other)
  if name == DOOM:
    return _open_doom(options, own | fields)
  if name in ADDED:
    return _open_added(name, options, own | fields)
  rendering = (own | fields) - set(FITTED) - {'split', 'cache_gb'}
  options = {k: v for k, v in options.items() if k not in rendering}
  fit = {k: options.pop(k) for k in FITTED if k in options}
  source = _open_recording(name, fit.get('frames'), options)
  return FittedSource(source, **fit) if fit else source


def traits_of(name: str) -> Traits:
  """Looks up the abilities of a source by its name; opens nothing.

  A source of `ADDED` makes clips along paths of their own, unless it declares
  other `traits`.
  """
  if name in KINDS:
    return WorldSource.traits
  made = Traits(makes_clips=True, has_episodes=True)
  if name == DOOM:
    return made
  if name in ADDED:
    return getattr(ADDED[name], 'traits', made)
  return NpzSource.traits if name.endswith('.npz') else Traits()


def parts_of(name: str) -> list[tuple[str, int]]:
  """The sources of a mixture and their turns; one is a mixture of itself."""
  if ',' not in name or pathlib.Path(name).exists():
    return [(name, 1)]
  return [_weighted(part.strip()) for part in name.split(',')]


def turns_of(name: str) -> tuple[str, ...]:
  """The source of clip i of a mixture at `i % len`, by its name's last part."""
  return tuple(
    pathlib.PurePath(part).stem
    for part, turns in parts_of(name)
    for _ in range(turns)
  )


def _weighted(part: str) -> tuple[str, int]:
  """The name and the turns of a part of a mixture."""
  name, star, turns = part.rpartition('*')
  return (name, int(turns)) if star and turns.isdigit() else (part, 1)


def _open_doom(options: dict, rendering: Set[str]):
  """The game; how worlds are rendered does not concern it."""
  # Imported where it is needed, as it is with an extra only.
  from mirage_jax.data.sources.doom.source import DoomConfig, DoomSource

  own = inspect.signature(DoomSource).parameters.keys() - {'config'}
  fields = DoomConfig.__dataclass_fields__.keys() - {'kind'}
  known = own | fields
  options = {k: v for k, v in options.items() if k not in rendering - known}
  _check_options(DOOM, options, known)
  config = {k: v for k, v in options.items() if k in fields}
  other = {k: v for k, v in options.items() if k in own}
  return DoomSource(DoomConfig(**config), **other)


def _open_added(name: str, options: dict, rendering: Set[str]):
  """An added source, fitted to the size that it was not told."""
  known = inspect.signature(ADDED[name]).parameters.keys()
  fit = {k: v for k, v in options.items() if k in set(FITTED) - known}
  options = {k: v for k, v in options.items() if k not in rendering - known}
  _check_options(name, options, known)
  source = ADDED[name](**options)
  return FittedSource(source, **fit) if fit else source


def _open_recording(name: str, frames: int | None, options: dict):
  """The source of a folder, a file or a prepared dataset."""
  path = pathlib.Path(name)
  if path.suffix == '.npz':
    _check_options(name, options, {'split'})
    return NpzSource(path, **options)
  if path.name == 'transforms.json' or (path / 'transforms.json').is_file():
    own = inspect.signature(FolderSource).parameters.keys() - {'path'}
    _check_options(name, options, own)
    options.setdefault('returning', options.get('split') == 'train')
    return FolderSource(name, frames=frames, **options)
  if path.is_dir():
    # Imported where it is needed: it takes half a second.
    from mirage_jax.data.sources.tfds import TfdsSource

    own = {'split', 'cache_gb'}
    _check_options(name, options, own)
    return TfdsSource(path.name, path.parent, **options)
  raise ValueError(
    f"unknown source '{name}'; have {', '.join([*KINDS, DOOM, *ADDED])}, a "
    'folder with transforms.json, or a prepared dataset'
  )


def _check_options(name: str, options: dict, known: Set[str]) -> None:
  for option in sorted(options.keys() - known):
    raise ValueError(
      f"unknown option '{option}' of source '{name}'; have "
      f'{", ".join(sorted(known))}'
    )
