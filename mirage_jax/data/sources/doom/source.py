"""Clips of levels of Freedoom, played when they are asked for."""

import dataclasses
import functools
import pathlib
import threading
import zlib
from typing import SupportsIndex

import numpy as np

from mirage_jax.data.caches import Cache, check_index
from mirage_jax.data.sources.doom import game, levels, walking
from mirage_jax.data.sources.traits import Traits
from mirage_jax.geometry.clips import Clip

SPLITS = ('train', 'validation', 'test')
HELD_OUT = 6  # one level of so many is for validation, another one for tests
TRIES = 64


@dataclasses.dataclass(frozen=True)
class DoomConfig:
  """Settings of clips of the game.

  Attributes:
    frames: of a clip.
    height, width: of a frame.
    monsters: whether there are any.
    kind: of the source.

  Raises:
    ValueError: a clip without a pixel.
  """

  frames: int = 32
  height: int = 64
  width: int = 64
  monsters: bool = False
  kind: str = 'doom'

  def __post_init__(self):
    if min(self.frames, self.height, self.width) < 1:
      raise ValueError(
        f'{self.frames} frames of {self.height} x {self.width}; expected at '
        'least 1 of each'
      )


class DoomSource:
  """Walks through levels of Freedoom; other levels for other splits.

  Clip i is a pure function of (config, seed, split, i).

  Args:
    config: of the clips.
    clips: how many; costs nothing until they are asked for.
    seed: of all of them.
    split: `train`, `validation` or `test`.
    cache: whether to keep clips that were played.
    cache_gb: memory that they may take; later ones are played anew each time.

  Raises:
    ValueError: an unknown split, no clips, or ViZDoom is not installed.
  """

  traits = Traits(makes_clips=True, has_episodes=True)

  def __init__(
    self,
    config: DoomConfig,
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
    self._clips, self._seed, self._split = clips, seed, split
    self._levels = split_levels(split)
    self._cache = Cache(cache_gb if cache else 0.0, clips)

  def __len__(self) -> int:
    return self._clips

  def __getitem__(self, index: SupportsIndex) -> Clip:
    return self._cache.get(check_index(index, len(self)), self._play)

  def _play(self, index: int) -> Clip:
    salt = zlib.crc32(self._split.encode())
    make = np.random.default_rng([self._seed, salt, index])
    wad, name, level, region = self._place(make)
    config = self.config
    path = walking.make_walk(make, region, config.frames)
    seed = int(make.integers(2**31))
    with _lock:
      running = _game(wad, 2 * config.height, config.monsters)
      played = running.play(name, seed, *path)
    return game.make_clip(level, played, config.height, config.width)

  def _place(self, make: np.random.Generator):
    """A level, and a part of it that can be walked through."""
    for _ in range(TRIES):
      wad, name = self._levels[make.integers(len(self._levels))]
      level = _level(wad, name)
      start = level.things[make.integers(len(level.things))]
      region = walking.find_region(level, *map(float, start))
      if region is not None:
        return wad, name, level, region
    raise ValueError(f'found no place to walk in {TRIES} tries')


def split_levels(split: str) -> list[tuple[str, str]]:
  """File and name of the levels of a split."""
  every = [
    (str(wad), name)
    for wad in game.wad_files()
    for name in levels.level_names(wad)
  ]
  turn = {'validation': HELD_OUT - 2, 'test': HELD_OUT - 1}
  return [
    place
    for i, place in enumerate(every)
    if i % HELD_OUT == turn.get(split, i % HELD_OUT)
    and (split in turn or i % HELD_OUT not in turn.values())
  ]


_lock = threading.Lock()


@functools.lru_cache(maxsize=2)  # there are two files of levels
def _game(wad: str, rows: int, monsters: bool) -> game.Game:
  return game.Game(pathlib.Path(wad), rows, monsters)


@functools.lru_cache(maxsize=80)
def _level(wad: str, name: str) -> levels.Level:
  return levels.read_level(wad, name)
