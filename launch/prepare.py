"""Renders worlds, or plays a game, to disk once, for runs that read it often.

  python -m launch.prepare --source=rooms --data_dir=DIR --clips=1024

Run again with the same command, it goes on where it was stopped. The dataset
appears when it is complete; its folder is a value of `config.source.kind`.
"""

import pathlib
import time
from typing import Any

from absl import flags, logging

from launch.program import run_program
from mirage_jax.data.builders import ClipsConfig, prepare
from mirage_jax.data.sources.catalog import DOOM
from mirage_jax.data.sources.doom.source import DoomConfig
from mirage_jax.worlds import WorldConfig

_SOURCE = flags.DEFINE_string('source', 'rooms', 'rooms, streets or doom.')
_MONSTERS = flags.DEFINE_bool('monsters', False, 'Whether doom has any.')
_DATA_DIR = flags.DEFINE_string('data_dir', None, 'Folder of datasets.')
_CLIPS = flags.DEFINE_integer('clips', 1024, 'Clips to train on.')
_TEST_CLIPS = flags.DEFINE_integer('test_clips', 64, 'Clips held out.')
_FRAMES = flags.DEFINE_integer('frames', 32, 'Frames of a clip.')
_HEIGHT = flags.DEFINE_integer('height', 64, 'Rows of a frame.')
_WIDTH = flags.DEFINE_integer('width', 64, 'Columns of a frame.')
_RAYS = flags.DEFINE_integer('rays_per_pixel', 4, 'Rays of a pixel.')
_SEED = flags.DEFINE_integer('seed', 0, 'Of all worlds.')


def main(_) -> dict[str, Any]:
  """Makes the dataset that the flags describe; returns its folder and size."""
  logging.set_verbosity(logging.ERROR)
  if _DATA_DIR.value is None:
    raise ValueError('--data_dir is missing; see --help')
  config = ClipsConfig(
    world=make_world(),
    clips=_CLIPS.value,
    test_clips=_TEST_CLIPS.value,
    seed=_SEED.value,
  )
  begin = time.monotonic()
  folder = prepare(pathlib.Path(_DATA_DIR.value).expanduser(), config)
  return {
    'dataset': str(folder),
    'clips': config.clips,
    'test_clips': config.test_clips,
    'bytes': sum(file.stat().st_size for file in folder.iterdir()),
    'seconds': round(time.monotonic() - begin, 1),
  }


def make_world() -> WorldConfig | DoomConfig:
  """Makes the world's config from --source and the flags of its clips."""
  frames = {
    'frames': _FRAMES.value,
    'height': _HEIGHT.value,
    'width': _WIDTH.value,
  }
  if _SOURCE.value == DOOM:
    return DoomConfig(**frames, monsters=_MONSTERS.value)
  return WorldConfig(kind=_SOURCE.value, rays_per_pixel=_RAYS.value, **frames)


if __name__ == '__main__':
  run_program(main)
