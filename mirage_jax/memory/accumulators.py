"""Exact sums: 48-bit integers in two words, so that addition has no order.

A sum is `high * 2**32 + low` in two's complement, the one representation of
its value; hence any order of additions and subtractions gives the same bits.
"""

import math

import flax.struct
import jax.numpy as jnp

from mirage_jax.arrays import Array, Bool, Float, Int

BITS = 48
BYTES = BITS // 8


@flax.struct.dataclass
class Wide:
  """Signed 48-bit integers.

  Attributes:
    low: `[e, c]` uint32, the low word.
    high: `[e, c]` int16, the high word.
  """

  low: Int[Array, 'e c']
  high: Int[Array, 'e c']


def zeros(entries: int, columns: int) -> Wide:
  """Sums that are all zero."""
  shape = (entries, columns)
  return Wide(jnp.zeros(shape, jnp.uint32), jnp.zeros(shape, jnp.int16))


def add(sums: Wide, delta: Int[Array, 'e c']) -> tuple[Wide, Bool[Array, '']]:
  """Adds int32 values (negative ones borrow); True if any sum left its range."""
  low = sums.low + delta.astype(jnp.uint32)
  carry = (low < sums.low).astype(jnp.int32)
  high = sums.high.astype(jnp.int32) + (delta >> 31) + carry
  return _narrow(low, high)


def merge(first: Wide, second: Wide) -> tuple[Wide, Bool[Array, '']]:
  """Adds two sums; True if any left its range."""
  low = first.low + second.low
  carry = (low < first.low).astype(jnp.int32)
  high = first.high.astype(jnp.int32) + second.high.astype(jnp.int32) + carry
  return _narrow(low, high)


def to_float(sums: Wide) -> Float[Array, 'e c']:
  """The sums rounded to float32."""
  return sums.high.astype(jnp.float32) * 2.0**32 + sums.low.astype(jnp.float32)


def capacity(largest: int) -> int:
  """How many values of at most `largest` always fit into one sum."""
  return (2 ** (BITS - 1) - 1) // largest


def pieces(count: int, largest: int) -> list[slice]:
  """Slices of `count` values whose sums fit int32 whatever they are."""
  size = (2**31 - 1) // largest
  number = math.ceil(count / size)
  bounds = [count * i // max(number, 1) for i in range(number + 1)]
  return [slice(a, b) for a, b in zip(bounds, bounds[1:], strict=False)]


def _narrow(low, high):
  """Two words from a high word that may have left int16."""
  narrow = high.astype(jnp.int16)
  return Wide(low, narrow), (narrow.astype(jnp.int32) != high).any()
