"""The straight path between data (t = 0) and noise (t = 1).

Rectified flow (arXiv 2209.03003): `x_t = (1 - t) x + t e`, `v = e - x`. A
network that predicts the clean `x` gives `v = (x_t - x) / t` ("JiT",
arXiv 2511.13720); near t = 0 the division is bounded by `MIN_LEVEL`.
"""

import jax.numpy as jnp

from mirage_jax.arrays import Array, Float

MIN_LEVEL = 0.05


def _expand(t: Array, x: Array) -> Array:
  return t.reshape(t.shape + (1,) * (x.ndim - t.ndim))


def interpolate(
  clean: Float[Array, '...'], noise: Float[Array, '...'], t: Float[Array, '...']
) -> Float[Array, '...']:
  """`x_t`; `t` holds the leading axes of `clean`."""
  t = _expand(t, clean)
  return (1 - t) * clean + t * noise


def velocity_target(
  clean: Float[Array, '...'], noise: Float[Array, '...']
) -> Float[Array, '...']:
  """The velocity of the straight path, the same at every t."""
  return noise - clean


def velocity_from_clean(
  x: Float[Array, '...'], clean: Float[Array, '...'], t: Float[Array, '...']
) -> Float[Array, '...']:
  """Velocity at `x_t` that a prediction of the clean sample implies."""
  return (x - clean) / jnp.maximum(_expand(t, x), MIN_LEVEL)


def clean_from_velocity(
  x: Float[Array, '...'], velocity: Float[Array, '...'], t: Float[Array, '...']
) -> Float[Array, '...']:
  """Clean sample that a velocity at `x_t` implies."""
  return x - _expand(t, x) * velocity
