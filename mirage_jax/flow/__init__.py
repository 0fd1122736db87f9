"""Flow matching: pure maths over a `velocity(x, t)`, never a network.

paths       the straight path between data and noise
samplers    Euler and Heun steps from noise to data
schedules   distributions of noise levels in training
"""

from mirage_jax.flow.paths import (
  clean_for_endpoint,
  clean_from_velocity,
  expand,
  interpolate,
  step_to,
  velocity_from_clean,
  velocity_target,
)
from mirage_jax.flow.samplers import Sampler, integrate
from mirage_jax.flow.schedules import LogitNormal

__all__ = [
  'LogitNormal',
  'Sampler',
  'clean_for_endpoint',
  'clean_from_velocity',
  'expand',
  'integrate',
  'interpolate',
  'step_to',
  'velocity_from_clean',
  'velocity_target',
]
