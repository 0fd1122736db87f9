"""The straight path between data (t = 0) and noise (t = 1).

Rectified flow (arXiv 2209.03003): `x_t = (1 - t) x + t e`, `v = e - x`. A
network that predicts the clean `x` gives `v = (x_t - x) / t` ("JiT",
arXiv 2511.13720); near t = 0 the division is bounded by `MIN_LEVEL`.
"""

import jax.numpy as jnp

from mirage_jax.arrays import Array, Float

MIN_LEVEL = 0.05


def expand(t: Array, x: Array) -> Array:
  """Appends axes to `t`, until it has as many as `x`."""
  return t.reshape(t.shape + (1,) * (x.ndim - t.ndim))


def interpolate(
  clean: Float[Array, '...'], noise: Float[Array, '...'], t: Float[Array, '...']
) -> Float[Array, '...']:
  """Computes `x_t`; `t` holds the leading axes of `clean`."""
  t = expand(t, clean)
  return (1 - t) * clean + t * noise


def velocity_target(
  clean: Float[Array, '...'], noise: Float[Array, '...']
) -> Float[Array, '...']:
  """Computes the velocity of the straight path, the same at every t."""
  return noise - clean


def velocity_from_clean(
  x: Float[Array, '...'], clean: Float[Array, '...'], t: Float[Array, '...']
) -> Float[Array, '...']:
  """Computes the velocity at `x_t` from a clean sample."""
  return (x - clean) / jnp.maximum(expand(t, x), MIN_LEVEL)


def clean_from_velocity(
  x: Float[Array, '...'], velocity: Float[Array, '...'], t: Float[Array, '...']
) -> Float[Array, '...']:
  """Computes the clean sample from a velocity at `x_t`."""
  return x - expand(t, x) * velocity


def step_to(
  x: Float[Array, '...'],
  clean: Float[Array, '...'],
  t: Float[Array, '...'],
  end: Float[Array, '...'],
) -> Float[Array, '...']:
  """Moves along the straight path from `x_t` to a clean sample to `end`."""
  return clean + expand(end / t, x) * (x - clean)


def clean_for_endpoint(
  x: Float[Array, '...'],
  reached: Float[Array, '...'],
  t: Float[Array, '...'],
  end: Float[Array, '...'],
) -> Float[Array, '...']:
  """Finds the clean sample whose straight path is at `reached` at `end`.

  The inverse of `step_to`; the x-prediction of arXiv 2202.00512, algorithm 2.
  """
  return x + expand(t / (t - end), x) * (reached - x)
