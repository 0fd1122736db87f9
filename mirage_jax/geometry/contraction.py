"""Contraction of unbounded space to a ball (mip-NeRF 360, eq. 10).

Inside `radius` nothing changes; the rest of space is squeezed into the shell
between `radius` and `2 * radius`, distances becoming disparities.
"""

import jax.numpy as jnp

from mirage_jax.arrays import Array, Float


def contract(
  points: Float[Array, '*batch d'], radius: float
) -> Float[Array, '*batch d']:
  """Maps metres into a ball of `2 * radius`: (2 - 1/|x|) x/|x| beyond it."""
  norm = _norm(points, radius)
  scale = jnp.where(norm > radius, (2 - radius / norm) * radius / norm, 1)
  return points * scale


def uncontract(
  points: Float[Array, '*batch d'], radius: float
) -> Float[Array, '*batch d']:
  """Inverse of `contract`; the ball's rim (infinity) is kept at 1e6 radii."""
  norm = _norm(points, radius)
  distance = radius * radius / jnp.maximum(2 * radius - norm, 1e-6 * radius)
  return points * jnp.where(norm > radius, distance / norm, 1)


def stretch(
  points: Float[Array, '*batch d'], radius: float
) -> Float[Array, '*batch']:
  """Metres across the line of sight per contracted metre, at metric points."""
  norm = _norm(points, radius)[..., 0]
  return jnp.where(norm > radius, norm / (2 - radius / norm) / radius, 1)


def _norm(points, radius):
  """Distance from the origin, at least half the radius (0 has no direction)."""
  return jnp.sqrt(
    jnp.maximum((points**2).sum(-1, keepdims=True), radius**2 / 4)
  )
