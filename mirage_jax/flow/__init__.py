"""Flow matching: pure maths over a `velocity(x, t)`, never a network."""

from mirage_jax.flow.paths import (
  aim,
  clean_from_velocity,
  expand,
  interpolate,
  towards,
  velocity_from_clean,
  velocity_target,
)
from mirage_jax.flow.samplers import Sampler, integrate
from mirage_jax.flow.schedules import LogitNormal

__all__ = [
  'LogitNormal',
  'Sampler',
  'aim',
  'clean_from_velocity',
  'expand',
  'integrate',
  'interpolate',
  'towards',
  'velocity_from_clean',
  'velocity_target',
]
