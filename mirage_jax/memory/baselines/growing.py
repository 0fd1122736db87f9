"""States that grow: rows in the order in which they were written.

A row is whatever a memory keeps of a point or a frame. The capacity is a power
of two and is doubled by `reserve`, not under `jit`.
"""

import dataclasses
from collections.abc import Sequence
from typing import Any

import flax.struct
import jax
import jax.numpy as jnp

from mirage_jax.arrays import Array, Bool, Float, Int, UInt32
from mirage_jax.memory.contract import MemoryState, check_alike
from mirage_jax.memory.tables.hashing import mix


@flax.struct.dataclass
class GrowingState(MemoryState):
  """Rows, filled from the front.

  Attributes:
    rows: a tree of arrays `[capacity, ...]`, zeros behind the last row.
    count: how many rows there are.
  """

  rows: Any
  count: Int[Array, '']

  @property
  def capacity(self) -> int:
    """Rows that it can hold."""
    return jax.tree.leaves(self.rows)[0].shape[0]

  @property
  def there(self) -> Bool[Array, ' capacity']:
    """Mask of filled rows."""
    return jnp.arange(self.capacity) < self.count


def check_capacity(capacity: int) -> None:
  """Raises ValueError unless it is a power of two."""
  if capacity < 1 or capacity & (capacity - 1):
    raise ValueError(f'capacity is {capacity}; expected a power of two')


def init(frame: Float[Array, '4 4'], rows: Any) -> GrowingState:
  """A state without rows, with place for as many as `rows` (zeros) has."""
  return GrowingState(
    frame=jnp.asarray(frame, jnp.float32),
    overflow=jnp.bool_(False),
    rows=rows,
    count=jnp.int32(0),
  )


def write(
  state: GrowingState, more: Any, wanted: Bool[Array, ' m']
) -> GrowingState:
  """Puts the wanted ones of the rows `more` `[m, ...]` behind the others."""
  place = state.count + jnp.cumsum(wanted) - 1
  place = jnp.where(wanted, place, state.capacity)
  rows = jax.tree.map(
    lambda x, y: x.at[place].set(y.astype(x.dtype), mode='drop'),
    state.rows,
    more,
  )
  total = state.count + wanted.sum(dtype=jnp.int32)
  return dataclasses.replace(
    state,
    rows=rows,
    count=jnp.minimum(total, state.capacity),
    overflow=state.overflow | (total > state.capacity),
  )


def forget(
  state: GrowingState, gone: Any, wanted: Bool[Array, ' m']
) -> GrowingState:
  """Takes out the wanted ones of `gone` `[m, ...]`, each once, the last first.

  Rows are the same if their bits have the same 64-bit fingerprint. The others
  close up in their order.
  """
  mine, theirs = _fingerprints(state.rows), _fingerprints(gone)
  kept = state.there & ~_matched(mine, state.there, theirs, wanted)
  order = jnp.argsort(~kept, stable=True)

  def one(x):
    shape = (-1,) + (1,) * (x.ndim - 1)
    return jnp.where(kept[order].reshape(shape), x[order], 0).astype(x.dtype)

  rows = jax.tree.map(one, state.rows)
  return dataclasses.replace(state, rows=rows, count=kept.sum(dtype=jnp.int32))


def merge(first: GrowingState, second: GrowingState) -> GrowingState:
  """The rows of `first`, then those of `second`, at twice the capacity.

  Raises:
    ValueError: other frames or layouts.
  """
  check_alike(first, second)
  larger = _enlarge(first, 2 * first.capacity)
  both = write(larger, second.rows, second.there)
  return dataclasses.replace(both, overflow=first.overflow | second.overflow)


def reserve(state: GrowingState, rows: int) -> GrowingState:
  """The state with its capacity doubled until `rows` more fit."""
  capacity = state.capacity
  while capacity < int(state.count) + rows:
    capacity *= 2
  return state if capacity == state.capacity else _enlarge(state, capacity)


def as_large(states: Sequence[GrowingState]) -> list[GrowingState]:
  """The states at the capacity of the largest, so that they can be stacked."""
  capacity = max(state.capacity for state in states)
  return [_enlarge(state, capacity) for state in states]


def _enlarge(state: GrowingState, capacity: int) -> GrowingState:
  def one(x):
    missing = capacity - x.shape[0]
    return jnp.pad(x, [(0, missing)] + [(0, 0)] * (x.ndim - 1))

  return dataclasses.replace(state, rows=jax.tree.map(one, state.rows))


def _matched(
  mine: UInt32[Array, 'n 2'],
  valid: Bool[Array, ' n'],
  theirs: UInt32[Array, 'm 2'],
  wanted: Bool[Array, ' m'],
) -> Bool[Array, ' n']:
  """Marks those of mine that pair up with one of theirs."""
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
  return jnp.stack([mix(bits ^ salt).sum(-1) for salt in salts], -1)


def _bits(x: Array) -> Array:
  if x.dtype == jnp.float32:
    return jax.lax.bitcast_convert_type(x, jnp.uint32)
  return x.astype(jnp.uint32)
