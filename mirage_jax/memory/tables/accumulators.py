"""Exact sums: 48- or 40-bit integers, so that addition has no order.

A sum is `high * 2**32 + low` in two's complement, the one representation of
its value; hence any order of additions and subtractions gives the same bits.
"""

import itertools
import math

import flax.struct
import jax.numpy as jnp

from mirage_jax.arrays import Array, Bool, Float, Int


@flax.struct.dataclass
class Wide:
  """Signed integers in two words.

  Attributes:
    low: `[e, c]` uint32, the low word.
    high: `[e, c]` int16 (48 bits in all) or int8 (40 bits), the high word.
  """

  low: Int[Array, 'e c']
  high: Int[Array, 'e c']


def zeros(entries: int, columns: int, bits: int = 48) -> Wide:
  """Sums of 40 or 48 bits that are all zero."""
  shape, high = (entries, columns), {40: jnp.int8, 48: jnp.int16}[bits]
  return Wide(jnp.zeros(shape, jnp.uint32), jnp.zeros(shape, high))


def add(sums: Wide, delta: Int[Array, 'e c']) -> tuple[Wide, Bool[Array, '']]:
  """Adds int32 values (negative ones borrow); True if a sum left its range."""
  low = sums.low + delta.astype(jnp.uint32)
  carry = (low < sums.low).astype(jnp.int32)
  high = sums.high.astype(jnp.int32) + (delta >> 31) + carry
  return _narrow(low, high, sums.high.dtype)


def merge(first: Wide, second: Wide) -> tuple[Wide, Bool[Array, '']]:
  """Adds two sums; True if any left its range."""
  low = first.low + second.low
  carry = (low < first.low).astype(jnp.int32)
  high = first.high.astype(jnp.int32) + second.high.astype(jnp.int32) + carry
  return _narrow(low, high, first.high.dtype)


def to_float(sums: Wide) -> Float[Array, 'e c']:
  """The sums rounded to float32."""
  # A small negative sum must not lose its digits beside 2**32.
  small = sums.low.astype(jnp.int32)
  fits = sums.high.astype(jnp.int32) == small >> 31
  whole = sums.high.astype(jnp.float32) * 2.0**32 + sums.low.astype(jnp.float32)
  return jnp.where(fits, small.astype(jnp.float32), whole)


def capacity(largest: int, bits: int = 48) -> int:
  """Computes how many values of at most `largest` always fit into one sum."""
  return (2 ** (bits - 1) - 1) // largest


def pieces(count: int, largest: int) -> list[slice]:
  """Slices of `count` values whose sums fit int32 whatever they are."""
  size = (2**31 - 1) // largest
  number = math.ceil(count / size)
  bounds = [count * i // max(number, 1) for i in range(number + 1)]
  return [slice(a, b) for a, b in itertools.pairwise(bounds)]


def _narrow(low, high, dtype):
  """Two words from a high word that may have left its type."""
  narrow = high.astype(dtype)
  return Wide(low, narrow), (narrow.astype(jnp.int32) != high).any()
