"""Flow matching: pure maths over a `velocity(x, t)`, never a network."""

from mirage_jax.flow.paths import (
  clean_from_velocity,
  interpolate,
  velocity_from_clean,
  velocity_target,
)
from mirage_jax.flow.samplers import Sampler, integrate
from mirage_jax.flow.schedules import LogitNormal

__all__ = [
  'LogitNormal',
  'Sampler',
  'clean_from_velocity',
  'integrate',
  'interpolate',
  'velocity_from_clean',
  'velocity_target',
]
