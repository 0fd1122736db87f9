"""Worlds: observed, walked through, remembered and saved.

model = mirage_jax.load_pretrained('mirage-s')
world = mirage_jax.World(model)
world.observe(clip)               # posed frames that are true
for frame in world.walk(cameras):
  ...                             # generated, and remembered
world.save('here')

place      `World`: one scene of a model.
stepping   `step_many`: several worlds as one batch.
files      saved worlds.
observed   the last observation, for `undo`.
points     point clouds and PLY files.
views      axes of cameras and frames.
"""

import os

from mirage_jax import build
from mirage_jax.models.trained import TrainedModel
from mirage_jax.world.place import World
from mirage_jax.world.stepping import step_many

__all__ = ['World', 'load_pretrained', 'step_many']


def load_pretrained(name: str | os.PathLike) -> TrainedModel:
  """Loads a trained model: a shipped name, a released folder or a workdir.

  Raises:
    FileNotFoundError: there is no such model; it names those that ship.
    ValueError: it is damaged, or of another architecture.
  """
  return build.load(name)
