"""The tables of a view grid: sums that are written, and the views in them.

An entry (the sum of all points of one bin) is added to `choices` rows of one
table; `view_peeling` tells apart what shares rows. Another table keeps the
cameras of every view cell.
"""

import dataclasses

import flax.struct
import jax
import jax.numpy as jnp

from mirage_jax.arrays import Array, Bool, Float, UInt32
from mirage_jax.memory.contract import MemoryState
from mirage_jax.memory.tables import accumulators, sums
from mirage_jax.memory.tables.accumulators import Wide
from mirage_jax.memory.tables.sums import Sums
from mirage_jax.memory.tables.vmem import make_table
from mirage_jax.memory.view_grid import keys

RECENT = 5  # the column of recent weight
COLUMNS = 6  # weight, slot, position (3), recent weight; features follow
VIEW_COLUMNS = 8  # count, position (3), forward (3), generated
WHOLE = 0.02  # how far a mean may be from the whole number that it is


@flax.struct.dataclass
class ViewGridState(MemoryState):
  """Sums of everything written; float32 `[e, c]`, or `Wide` if exact.

  Attributes:
    entries: weight, weighted slot and position, recent weight, and weighted
      features.
    views: the cameras of each view cell.
  """

  entries: Sums
  views: Sums


@flax.struct.dataclass
class ViewCells:
  """View cells by slot, `v` of them.

  Attributes:
    position: `[v, 3]` mean camera position, metres, in the scene's frame.
    forward: `[v, 3]` mean viewing direction, unit length.
    centre: `[v, 3]` centre of the view cell, metres.
    key: `[v]` uint32.
    held: `[v]` whether the slot is one view cell's alone.
    generated: `[v]` whether a model made it up.
  """

  position: Float[Array, 'v 3']
  forward: Float[Array, 'v 3']
  centre: Float[Array, 'v 3']
  key: UInt32[Array, 'v']
  held: Bool[Array, 'v']
  generated: Bool[Array, 'v']


def init(config, frame: Float[Array, '4 4']) -> ViewGridState:
  """An empty state with the axes `frame` (world_from_scene)."""
  return ViewGridState(
    frame=jnp.asarray(frame, jnp.float32),
    entries=sums.empty(config.entries, COLUMNS + config.features, config.exact),
    views=sums.empty(config.views, VIEW_COLUMNS, config.exact),
    overflow=jnp.zeros((), bool),
  )


def num_entries(config, state: ViewGridState) -> Float[Array, '']:
  """Estimates the number of entries from the share of rows that are empty."""
  empty = (sums.as_float(state.entries)[:, 0] == 0).mean()
  load = -jnp.log(jnp.maximum(empty, 1 / config.entries)) / config.choices
  return load * config.entries


def write(config, state: ViewGridState, observation, sign: int):
  """Adds (or takes out, sign = -1) all points of an observation."""
  dtype = jnp.int32 if config.exact else jnp.float32
  weight = (sign * observation.weight).astype(dtype)[:, None]
  values = jnp.concatenate(
    [
      jnp.ones_like(weight),
      observation.content.astype(dtype),
      jnp.ones_like(weight),
      observation.features.astype(dtype),
    ],
    axis=1,
  )
  values = weight * values
  rows = [
    keys.rows_of(config, observation.key, i) for i in range(config.choices)
  ]
  view_rows = observation.view_slot[None]
  view_values = (sign * observation.view_content).astype(dtype)
  largest = keys.WEIGHTS * keys.largest(config)
  entries, over = _add(config, state.entries, jnp.stack(rows), values, largest)
  largest = keys.largest(config)
  views, over_views = _add(config, state.views, view_rows, view_values, largest)
  overflow = state.overflow | over | over_views
  return dataclasses.replace(
    state, entries=entries, views=views, overflow=overflow
  )


def _add(config, table: Sums, rows, values, largest: int):
  """Sums with each value added to its rows, and whether any left its range.

  Args:
    config: settings of the grid.
    table: `[e, c]`.
    rows: `[k, p]`, all different for one value.
    values: `[p, c]`, of at most `largest`.
    largest: see above.
  """
  if not isinstance(table, Wide):
    return _scatter(config, table, rows, values), jnp.zeros((), bool)
  overflow = jnp.zeros((), bool)
  for part in accumulators.pieces(rows.shape[1], largest):
    delta = jnp.zeros(table.low.shape, jnp.int32)
    delta = _scatter(config, delta, rows[:, part], values[part])
    table, over = accumulators.add(table, delta)
    overflow = overflow | over
  return table, overflow


def _scatter(config, table: Array, rows, values):
  return make_table(table, config.lookup).add(rows, values).unpack()


def view_cells(config, state: ViewGridState) -> ViewCells:
  """The view cells that the state has seen, by slot."""
  total = sums.as_float(state.views)
  count = total[:, :1]
  mean = total / jnp.maximum(count, 1)
  position, forward = mean[:, 1:4], mean[:, 4:7]
  generated = mean[:, 7] > 0.5
  key, centre = keys.view_key(config, position, forward, generated)
  slot = (key % jnp.uint32(config.views)).astype(jnp.int32)
  alone = (mean[:, 7] < WHOLE) | (mean[:, 7] > 1 - WHOLE)
  held = (count[:, 0] > 0.5) & alone & (slot == jnp.arange(config.views))
  length = jnp.linalg.norm(forward, axis=1, keepdims=True)
  return ViewCells(
    position=position * config.unit_m,
    forward=forward / jnp.maximum(length, 1),
    centre=centre,
    key=key,
    held=held,
    generated=generated,
  )


def advance(state: ViewGridState) -> ViewGridState:
  """Recent weight becomes old: its column is emptied, in every row alike."""
  entries = jax.tree.map(
    lambda x: jnp.asarray(x).at[:, RECENT].set(0), state.entries
  )
  return dataclasses.replace(state, entries=entries)
