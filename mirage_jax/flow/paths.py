"""The straight path between data (t = 0) and noise (t = 1).

Rectified flow (arXiv 2209.03003): `x_t = (1 - t) x + t e`, `v = e - x`. A
network that predicts the clean `x` gives `v = (x_t - x) / t` ("JiT",
arXiv 2511.13720); near t = 0 the division is bounded by `MIN_LEVEL`.
"""

import jax.numpy as jnp

from mirage_jax.arrays import Array, Float

MIN_LEVEL = 0.05


def expand(t: Array, x: Array) -> Array:
  """`t`, which holds the leading axes of `x`, with as many axes as `x`."""
  return t.reshape(t.shape + (1,) * (x.ndim - t.ndim))


def interpolate(
  clean: Float[Array, '...'], noise: Float[Array, '...'], t: Float[Array, '...']
) -> Float[Array, '...']:
  """`x_t`; `t` holds the leading axes of `clean`."""
  t = expand(t, clean)
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
  return (x - clean) / jnp.maximum(expand(t, x), MIN_LEVEL)


def clean_from_velocity(
  x: Float[Array, '...'], velocity: Float[Array, '...'], t: Float[Array, '...']
) -> Float[Array, '...']:
  """Clean sample that a velocity at `x_t` implies."""
  return x - expand(t, x) * velocity


def towards(
  x: Float[Array, '...'],
  clean: Float[Array, '...'],
  t: Float[Array, '...'],
  end: Float[Array, '...'],
) -> Float[Array, '...']:
  """Where the straight path from `x_t` to a clean sample is at level `end`."""
  return clean + expand(end / t, x) * (x - clean)


def aim(
  x: Float[Array, '...'],
  reached: Float[Array, '...'],
  t: Float[Array, '...'],
  end: Float[Array, '...'],
) -> Float[Array, '...']:
  """The clean sample whose straight path from `x_t` is at `reached` at `end`.

  The inverse of `towards`; the x-prediction of arXiv 2202.00512, algorithm 2.
  """
  return x + expand(t / (t - end), x) * (reached - x)
