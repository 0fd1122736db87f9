"""States that grow: arrays of power-of-two capacity, filled from the front."""

from typing import Any

import jax
import jax.numpy as jnp

from mirage_jax.arrays import Array, Bool, Int, UInt32


def capacity_for(capacity: int, count: int) -> int:
  """`capacity`, doubled until it holds `count`."""
  while capacity < count:
    capacity *= 2
  return capacity


def enlarge(rows: Any, capacity: int) -> Any:
  """Arrays `[n, ...]` with zeros after their rows, `[capacity, ...]`."""

  def one(x):
    missing = capacity - x.shape[0]
    return jnp.pad(x, [(0, missing)] + [(0, 0)] * (x.ndim - 1))

  return jax.tree.map(one, rows)


def append(
  rows: Any, count: Int[Array, ''], more: Any, wanted: Bool[Array, ' m']
) -> tuple[Any, Int[Array, ''], Bool[Array, '']]:
  """Puts the wanted ones of `more` `[m, ...]` behind the first `count` rows.

  Returns:
    The rows, how many there are now, and whether some found no place.
  """
  capacity = jax.tree.leaves(rows)[0].shape[0]
  place = count + jnp.cumsum(wanted) - 1
  place = jnp.where(wanted, place, capacity)
  rows = jax.tree.map(
    lambda x, y: x.at[place].set(y.astype(x.dtype), mode='drop'), rows, more
  )
  total = count + wanted.sum(dtype=jnp.int32)
  return rows, jnp.minimum(total, capacity), total > capacity


def remove(
  rows: Any, count: Int[Array, ''], gone: Any, wanted: Bool[Array, ' m']
) -> tuple[Any, Int[Array, '']]:
  """Takes out the wanted ones of `gone` `[m, ...]`, each once, the last first.

  Rows are the same if their bits have the same 64-bit fingerprint. The others
  close up in their order, and zeros follow the last.
  """
  mine = jnp.arange(jax.tree.leaves(rows)[0].shape[0]) < count
  kept = mine & ~_matched(
    _fingerprints(rows), mine, _fingerprints(gone), wanted
  )
  order = jnp.argsort(~kept, stable=True)

  def one(x):
    shape = (-1,) + (1,) * (x.ndim - 1)
    return jnp.where(kept[order].reshape(shape), x[order], 0).astype(x.dtype)

  return jax.tree.map(one, rows), kept.sum(dtype=jnp.int32)


def _matched(
  mine: UInt32[Array, 'n 2'],
  valid: Bool[Array, ' n'],
  theirs: UInt32[Array, 'm 2'],
  wanted: Bool[Array, ' m'],
) -> Bool[Array, ' n']:
  """Which of mine pair up with one of theirs."""
  n, m = len(mine), len(theirs)
  keys = jnp.concatenate([mine, theirs])
  asked = jnp.concatenate([jnp.zeros(n, bool), wanted])
  there = jnp.concatenate([valid, jnp.zeros(m, bool)])
  # Groups of equal rows; in each the asked first, then mine from the last on.
  place = jnp.concatenate([n - jnp.arange(n), jnp.full(m, -1)])
  order = jnp.lexsort((place, keys[:, 1], keys[:, 0]))
  keys, asked, there = keys[order], asked[order], there[order]
  new = (keys[1:] != keys[:-1]).any(-1)
  group = jnp.cumsum(jnp.concatenate([jnp.zeros(1, jnp.int32), new]))
  number = jax.ops.segment_sum(asked.astype(jnp.int32), group, n + m)
  before = jnp.cumsum(there) - there  # of mine, in all groups before
  first = jax.ops.segment_min(before, group, n + m)
  hit = there & (before - first[group] < number[group])
  return jnp.zeros(n + m, bool).at[order].set(hit)[:n]


def _fingerprints(rows: Any) -> UInt32[Array, 'n 2']:
  """64 bits of every row `[n, ...]` of all arrays together."""
  parts = [_bits(x) for x in jax.tree.leaves(rows)]
  bits = jnp.concatenate([x.reshape(x.shape[0], -1) for x in parts], -1)
  salts = jax.random.bits(jax.random.key(0), (2, bits.shape[1]), jnp.uint32)
  return jnp.stack([_mix(bits ^ salt).sum(-1) for salt in salts], -1)


def _bits(x: Array) -> Array:
  if x.dtype == jnp.float32:
    return jax.lax.bitcast_convert_type(x, jnp.uint32)
  return x.astype(jnp.uint32)


def _mix(x: Array) -> Array:
  """The finaliser of MurmurHash3 (public domain), a bijection of 32 bits."""
  x = (x ^ (x >> 16)) * jnp.uint32(0x85EBCA6B)
  x = (x ^ (x >> 13)) * jnp.uint32(0xC2B2AE35)
  return x ^ (x >> 16)
