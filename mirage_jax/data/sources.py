"""Sources: clips by index, whatever they come from.

A source has a length, and `source[i]` is a `Clip` of NumPy arrays. All clips
of a source have the same shape.
"""

import functools
import inspect
import operator
import pathlib
import warnings
from collections.abc import Set
from typing import SupportsIndex

import jax
import numpy as np

from mirage_jax import worlds
from mirage_jax.data.folders import read_folder
from mirage_jax.geometry.clips import Clip, take_frames
from mirage_jax.worlds.config import KINDS, WorldConfig

SPLITS = ('train', 'test')


class WorldSource:
  """Procedural worlds, rendered on demand and kept in memory.

  Clip i is a pure function of (config, seed, split, i).

  Args:
    config: the world.
    clips: how many; costs nothing until they are asked for.
    seed: of all worlds of both splits.
    split: `'train'` or `'test'`; their worlds differ.
    cache: whether to keep rendered clips.
    cache_gb: memory that they may take; later ones are rendered anew each time.

  Raises:
    ValueError: an unknown split or no clips.
  """

  def __init__(
    self,
    config: WorldConfig,
    clips: int,
    seed: int = 0,
    split: str = 'train',
    cache: bool = True,
    cache_gb: float = 16.0,
  ):
    if split not in SPLITS:
      raise ValueError(f"unknown split '{split}'; have {', '.join(SPLITS)}")
    if clips < 1:
      raise ValueError(f'{clips} clips; expected at least 1')
    self.config = config
    self._clips = clips
    self._key = jax.random.fold_in(jax.random.key(seed), SPLITS.index(split))
    self._free_bytes = cache_gb * 2**30 if cache else 0
    self._cache: dict[int, Clip] = {}

  def __len__(self) -> int:
    return self._clips

  def __getitem__(self, index: SupportsIndex) -> Clip:
    index = check_index(index, len(self))
    if index in self._cache:
      return self._cache[index]
    clip = render_clip(self.config, self._key, index)
    self._keep(index, clip)
    return clip

  def _keep(self, index: int, clip: Clip) -> None:
    size = sum(leaf.nbytes for leaf in jax.tree.leaves(clip))
    if self._free_bytes <= 0:
      return
    if self._free_bytes < size:
      warnings.warn(
        f'cache full after {len(self._cache)} of {len(self)} clips; the others '
        'are rendered each time: raise cache_gb or prepare them on disk',
        stacklevel=3,
      )
      self._free_bytes = 0
      return
    self._free_bytes -= size
    self._cache[index] = clip


class FolderSource:
  """One posed RGB-D folder, cut into clips that overlap.

  Args:
    path: a folder with a `transforms.json`.
    frames: length of a clip; None for one clip of all frames.
    hop: frames from the start of a clip to the next; None for a half of one.
    stride: downsampling, as in `read_folder`.

  Raises:
    ValueError: fewer readable frames than a clip has; as `read_folder`.
  """

  def __init__(
    self,
    path,
    frames: int | None = None,
    hop: int | None = None,
    stride: int = 1,
  ):
    self.clip, self.indices = read_folder(path, stride=stride)
    total = len(self.indices)
    self._frames = total if frames is None else frames
    if not 1 <= self._frames <= total:
      raise ValueError(
        f'{path} has {total} readable frames, clips are to have '
        f'{self._frames}; expected 1 to {total}'
      )
    hop = max(1, self._frames // 2 if hop is None else hop)
    self._starts = range(0, total - self._frames + 1, hop)

  def __len__(self) -> int:
    return len(self._starts)

  def __getitem__(self, index: SupportsIndex) -> Clip:
    start = self._starts[check_index(index, len(self))]
    return take_frames(self.clip, slice(start, start + self._frames))


def open_source(name: str, **options):
  """Opens `'rooms'`, `'streets'` or a folder.

  Args:
    name: a kind of world, or a folder with a `transforms.json`.
    **options: of the source; for worlds also the fields of `WorldConfig`.

  Raises:
    ValueError: an unknown name or option.
  """
  if name in KINDS:
    own = inspect.signature(WorldSource).parameters.keys() - {'config'}
    fields = WorldConfig.__dataclass_fields__.keys() - {'kind'}
    _check_options(name, options, own | fields)
    config = {k: v for k, v in options.items() if k in fields}
    other = {k: v for k, v in options.items() if k in own}
    return WorldSource(
      WorldConfig(kind=name, **config), **({'clips': 1024} | other)
    )
  if (pathlib.Path(name) / 'transforms.json').is_file():
    own = inspect.signature(FolderSource).parameters.keys() - {'path'}
    _check_options(name, options, own)
    return FolderSource(name, **options)
  raise ValueError(
    f"unknown source '{name}'; have {', '.join(KINDS)}, or a folder with "
    'transforms.json'
  )


def render_clip(config: WorldConfig, key, index: int) -> Clip:
  """Clip `index` of the worlds that `key` holds, as NumPy arrays."""
  clip = _compiled(config)(jax.random.fold_in(key, index))
  return jax.tree.map(np.asarray, clip)


def check_index(index: SupportsIndex, length: int) -> int:
  """`index` counted from the front.

  Raises:
    IndexError: it is out of range (iteration ends there).
  """
  index = operator.index(index)
  if not -length <= index < length:
    raise IndexError(f'clip {index} of a source of {length} clips')
  return index % length


def _check_options(name: str, options: dict, known: Set[str]) -> None:
  for option in sorted(options.keys() - known):
    raise ValueError(
      f"unknown option '{option}' of source '{name}'; have "
      f'{", ".join(sorted(known))}'
    )


@functools.cache
def _compiled(config: WorldConfig):
  return jax.jit(functools.partial(worlds.make_clip, config=config))
