"""Tables in parts: a memory that is larger than one device.

The rows of all tables are divided over the mesh axis of 'entries'; of several
tables each device has its range of each. What a write brings is on every
device, and each keeps what falls into its rows: nothing is sent. A reading
divides its rays: the row numbers of a lookup go to all m devices, and what
they find there comes back summed (one has it, the others 0). A lookup thus
costs each device 4 + row bytes, times (m - 1) / m, for every ray of the
reading, however large the tables are.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import AxisType, PartitionSpec

from mirage_jax.arrays import Array, Int
from mirage_jax.sharding import RULES

(AXIS,) = RULES['entries']
DIVIDED, WHOLE = PartitionSpec(AXIS), PartitionSpec()


def divide(function: Callable[..., Any], takes: Any, gives: Any):
  """`function` on each device's parts.

  Args:
    function: may call `take`, `add` and `anywhere` on tables.
    takes: `DIVIDED` (along the first axis) or `WHOLE` for each argument, or a
      tree of them.
    gives: the same for what it returns.

  Returns:
    The function of whole arrays; without a mesh that has the axis, `function`
    itself.
  """
  if num_parts() == 1:
    return function
  return jax.shard_map(
    function, in_specs=takes, out_specs=gives, axis_names={AXIS}
  )


def num_parts() -> int:
  """Number of shards into which the mesh that is set divides tables."""
  mesh = jax.sharding.get_abstract_mesh()
  return 1 if mesh.empty else mesh.shape[AXIS]


def _inside() -> bool:
  """Tests whether this is traced on shards."""
  mesh = jax.sharding.get_abstract_mesh()
  types = dict(zip(mesh.axis_names, mesh.axis_types, strict=True))
  return types.get(AXIS) == AxisType.Manual


def take(table: Array, rows: Int[Array, 'r *each']) -> Array:
  """`table[rows]`; the rows are of the whole table, and of this part's rays."""
  if not _inside():
    return table[rows]
  rows = jax.lax.all_gather(rows, AXIS, tiled=True)
  own, mine = _own(table, rows)
  found = table[jnp.where(mine, own, 0)]
  found = jnp.where(
    mine.reshape(mine.shape + (1,) * (found.ndim - mine.ndim)), found, 0
  )
  return jax.lax.psum_scatter(found, AXIS, tiled=True)


def add(table: Array, rows: Int[Array, ' p'], values: Array) -> Array:
  """The table with `values` added to its rows; all parts see all of them."""
  if not _inside():
    return jnp.asarray(table).at[rows].add(values, mode='drop')
  own, mine = _own(table, rows)
  # Beyond the table is dropped, before it counts from the end.
  own = jnp.where(mine, own, table.shape[0])
  return jnp.asarray(table).at[own].add(values, mode='drop')


def anywhere(flag: Array) -> Array:
  """Tests whether the flag is set in any shard."""
  if not _inside():
    return flag
  return jax.lax.pmax(flag.astype(jnp.int32), AXIS) > 0


def _own(table: Array, rows: Array) -> tuple[Array, Array]:
  """Rows within this part of a table, and whether they are."""
  own = rows - jax.lax.axis_index(AXIS) * table.shape[0]
  return own, (own >= 0) & (own < table.shape[0])
