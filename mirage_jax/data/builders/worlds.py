"""Builds the datasets `rooms`, `streets` and `doom`: TFDS without TensorFlow.

`prepare` runs these builders with ArrayRecord as their file format.
"""

import dataclasses
import hashlib
import json
import pathlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import tensorflow_datasets as tfds

from mirage_jax import worlds
from mirage_jax.data.builders.features import clip_features, to_example
from mirage_jax.data.builders.rendered import rendered
from mirage_jax.data.progress import Progress
from mirage_jax.data.sources import world as world_source
from mirage_jax.data.sources.doom import game
from mirage_jax.data.sources.doom import source as doom
from mirage_jax.data.sources.doom.source import DoomConfig
from mirage_jax.data.sources.world import WorldSource
from mirage_jax.worlds.config import WorldConfig


@dataclasses.dataclass(eq=False)
class ClipsConfig(tfds.core.BuilderConfig):
  """Contents of a dataset of worlds; its name has a hash of all of them.

  Attributes:
    world: the clips' world.
    clips: number of clips of the split `train`.
    test_clips: number of clips of the split `test`, of other worlds.
    seed: of all worlds.
  """

  world: WorldConfig | DoomConfig = dataclasses.field(
    default_factory=WorldConfig
  )
  clips: int = 1024
  test_clips: int = 64
  seed: int = 0
  name: str = ''

  def __post_init__(self):
    if min(self.clips, self.test_clips) < 1:
      raise ValueError(
        f'{self.clips} clips and {self.test_clips} test clips; expected at '
        'least 1 of each'
      )
    content = self.content
    text = json.dumps(content, sort_keys=True, default=str)
    digest = hashlib.sha256(text.encode()).hexdigest()[:8]
    world = self.world
    size = f'{world.width}x{world.height}x{world.frames}'
    self.name = f'{size}_{self.clips}_seed{self.seed}_{digest}'
    self.description = f'{self.clips} clips of {size} ({world.kind}).'

  @property
  def content(self) -> dict:
    """Settings that decide the dataset's bits."""
    return {
      'world': dataclasses.asdict(self.world),
      'clips': self.clips,
      'test_clips': self.test_clips,
      'seed': self.seed,
    }


class Worlds(tfds.core.GeneratorBasedBuilder, skip_registration=True):
  """Clips of one kind of procedural world, with all their ground truth.

  Rendered clips are kept in `unfinished_path` until the dataset is complete:
  a preparation that was killed goes on where it stopped.
  """

  VERSION = tfds.core.Version('1.0.0')
  BUILDER_CONFIGS = ()
  SPLITS: tuple[str, ...] = world_source.SPLITS

  @property
  def unfinished_path(self) -> pathlib.Path:
    """Folder of rendered clips while the dataset is not complete."""
    root = pathlib.Path(self.data_dir_root)
    return root / self.name / f'.rendering-{self.builder_config.name}'

  def _info(self) -> tfds.core.DatasetInfo:
    world = self.builder_config.world
    return tfds.core.DatasetInfo(
      builder=self,
      description=str(self.builder_config.description),
      features=clip_features(
        world.frames, world.height, world.width, self.objects
      ),
      disable_shuffling=True,
      metadata=tfds.core.MetadataDict(self.builder_config.content),
    )

  @property
  def objects(self) -> int:
    """Number of objects that a clip has slots for."""
    return worlds.OBJECTS[self.builder_config.world.kind]

  def _source(self, split: str, clips: int) -> Any:
    """Opens the clips of a split."""
    config = self.builder_config
    return WorldSource(config.world, clips, config.seed, split, cache=False)

  def _split_generators(self, dl_manager):
    del dl_manager
    config = self.builder_config
    counts = dict.fromkeys(self.SPLITS, config.test_clips)
    counts['train'] = config.clips
    progress = Progress(self.name, sum(counts.values()))
    return {
      split: self._generate_examples(split, clips, progress)
      for split, clips in counts.items()
    }

  def _generate_examples(
    self, split: str, clips: int, progress: Progress
  ) -> Iterator[tuple[int, dict[str, np.ndarray]]]:
    source = self._source(split, clips)
    yield from rendered(
      self.unfinished_path,
      split,
      clips,
      lambda index: to_example(source[index]),
      progress.add,
    )


class Rooms(Worlds):
  """Rooms with doorways, furniture and a person who walks through."""

  BUILDER_CONFIGS = (ClipsConfig(world=WorldConfig(kind='rooms')),)


class Streets(Worlds):
  """Blocks of houses, with cars that drive and pedestrians who walk."""

  BUILDER_CONFIGS = (ClipsConfig(world=WorldConfig(kind='streets')),)


class Doom(Worlds):
  """Walks through levels of Freedoom; every split has levels of its own."""

  BUILDER_CONFIGS = (ClipsConfig(world=DoomConfig()),)
  SPLITS: tuple[str, ...] = doom.SPLITS

  @property
  def objects(self) -> int:
    """Number of objects that a clip has slots for."""
    return game.OBJECTS

  def _source(self, split: str, clips: int) -> Any:
    config = self.builder_config
    return doom.DoomSource(config.world, clips, config.seed, split, cache=False)
