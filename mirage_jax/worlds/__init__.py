"""Procedural worlds with exact ground truth, rendered in JAX."""

from mirage_jax.worlds.clips import (
  OBJECTS,
  make_changed_clips,
  make_clip,
  make_scene,
)
from mirage_jax.worlds.config import KINDS, PATHS, WorldConfig
from mirage_jax.worlds.paths import make_path
from mirage_jax.worlds.rendering import render
from mirage_jax.worlds.scenes import Scene

__all__ = [
  'KINDS',
  'OBJECTS',
  'PATHS',
  'Scene',
  'WorldConfig',
  'make_changed_clips',
  'make_clip',
  'make_path',
  'make_scene',
  'render',
]
