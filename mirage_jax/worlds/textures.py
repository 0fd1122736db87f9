"""Band-limited tilings and noise.

A pattern is averaged over the pixel's footprint on the surface: lines by the
exact integral of a pulse train, noise and tints by fading. `x`, `y` are
coordinates on a surface, `width` is the footprint in the same unit.
"""

import jax.numpy as jnp

from mirage_jax.arrays import Array, Float, Int


def hash_lattice(
  x: Int[Array, '*n'], y: Int[Array, '*n'], seed: Int[Array, '*n']
) -> Int[Array, '*n']:
  """30 random bits for every lattice point."""
  u = lambda v: v.astype(jnp.uint32)
  h = u(x) * jnp.uint32(0x9E3779B1) ^ u(y) * jnp.uint32(0x85EBCA77)
  h = h ^ u(seed) * jnp.uint32(0xC2B2AE3D)
  h = (h ^ (h >> 15)) * jnp.uint32(0x2C1B3C6D)
  h = (h ^ (h >> 12)) * jnp.uint32(0x297A2D39)
  return ((h ^ (h >> 15)) & jnp.uint32((1 << 30) - 1)).astype(jnp.int32)


def fraction(bits: Int[Array, '*n'], field: int) -> Float[Array, '*n']:
  """The 10-bit field 0, 1 or 2 of random bits, in [0, 1)."""
  return ((bits >> (10 * field)) & 1023).astype(jnp.float32) / 1024


def pulses(
  x: Float[Array, '*n'], width: Float[Array, '*n'], duty: Float[Array, '*n']
) -> Float[Array, '*n']:
  """Mean over `width` of pulses of length `duty` round every integer."""
  x = x + duty / 2
  width = jnp.maximum(width, 1e-4)
  high, low = x + width / 2, x - width / 2
  whole = jnp.floor(high) - jnp.floor(low)
  rest = jnp.minimum(high - jnp.floor(high), duty)
  rest = rest - jnp.minimum(low - jnp.floor(low), duty)
  return jnp.clip((whole * duty + rest) / width, 0, 1)


def value_noise(
  x: Float[Array, '*n'],
  y: Float[Array, '*n'],
  width: Float[Array, '*n'],
  seed: Int[Array, '*n'],
) -> Float[Array, '*n']:
  """Smooth noise of unit cells in [-1, 1], fading where `width` nears 1."""
  x0, y0 = jnp.floor(x), jnp.floor(y)
  ease = lambda t: t * t * (3 - 2 * t)
  fx, fy = ease(x - x0), ease(y - y0)
  ix, iy = x0.astype(jnp.int32), y0.astype(jnp.int32)
  at = lambda i, j: fraction(hash_lattice(ix + i, iy + j, seed), 0)
  low = at(0, 0) + fx * (at(1, 0) - at(0, 0))
  high = at(0, 1) + fx * (at(1, 1) - at(0, 1))
  return (2 * (low + fy * (high - low)) - 1) * fade(width)


def fade(width: Float[Array, '*n']) -> Float[Array, '*n']:
  """1 where detail of unit size is resolved, 0 where it is not."""
  return jnp.clip(1.5 - 1.5 * width, 0, 1)
