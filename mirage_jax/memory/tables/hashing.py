"""Hashes of integers, uint32, the same on every device."""

import jax.numpy as jnp

from mirage_jax.arrays import Array, Int

# Multipliers of the finaliser of MurmurHash3 (public domain).
MURMUR = (0x85EBCA6B, 0xC2B2AE35)
SEED = 0x9E3779B9  # 2^32 / golden ratio, so that a word 0 does not hash to 0
# Primes for the three coordinates of a cell; two are Instant-NGP's.
PRIMES = (3674653429, 2654435761, 805459861)


def mix(*words: Array) -> Array:
  """Hashes integer arrays with the finaliser of MurmurHash3.

  Of one word it is a bijection.
  """
  hashed = jnp.uint32(SEED)
  for word in words:
    hashed = (hashed ^ word.astype(jnp.uint32)) * jnp.uint32(MURMUR[0])
    hashed = hashed ^ (hashed >> 15)
    hashed = hashed * jnp.uint32(MURMUR[1])
    hashed = hashed ^ (hashed >> 13)
  return hashed


def hash_cells(cells: Int[Array, '*batch 3']) -> Array:
  """Hashes cells of space.

  A sum of multiples, its bits then mixed (half a finaliser). Instant-NGP
  (arXiv 2201.05989) joins the multiples by xor, for coordinates that are not
  negative: round an origin, opposite cells would share their rows.
  """
  x, y, z = (cells[..., i].astype(jnp.uint32) for i in range(3))
  hashed = x * jnp.uint32(PRIMES[0]) + y * jnp.uint32(PRIMES[1])
  hashed = hashed + z * jnp.uint32(PRIMES[2])
  hashed = (hashed ^ hashed >> 16) * jnp.uint32(MURMUR[0])
  return hashed ^ hashed >> 13
