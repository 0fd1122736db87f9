"""Procedural worlds as a source of clips; needs no disk."""

from typing import SupportsIndex

import jax

from mirage_jax import worlds
from mirage_jax.data.caches import Cache, check_index
from mirage_jax.data.progress import Progress
from mirage_jax.data.sources.traits import Traits
from mirage_jax.geometry.clips import Clip
from mirage_jax.worlds.config import WorldConfig

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

  traits = Traits(
    makes_clips=True,
    renders_any_path=True,
    has_objects=True,
    changes_scenes=True,
  )

  def __init__(
    self,
    config: WorldConfig,
    clips: int = 1024,
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
    self._cache = Cache(cache_gb if cache else 0.0, clips)

  def __len__(self) -> int:
    return self._clips

  def __getitem__(self, index: SupportsIndex) -> Clip:
    return self._cache.get(check_index(index, len(self)), self._render)

  def fill(self) -> None:
    """Renders all clips now, with progress, so that no later step waits.

    For runs whose time is measured; others render while they train.
    """
    progress = Progress(self.config.kind, len(self))
    for index in range(len(self)):
      self[index]
      progress.add(1)

  def _render(self, index: int) -> Clip:
    return worlds.make_clip(jax.random.fold_in(self._key, index), self.config)
