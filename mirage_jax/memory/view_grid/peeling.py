"""Telling apart the entries of a view grid that share rows.

A row that holds one entry alone names it: its mean slot is a whole number, and
its mean position hashes to this very row. Such entries are read off and taken
out of their other rows, which frees further ones: the peeling of an invertible
Bloom lookup table (Goodrich and Mitzenmacher 2011). With three choices nothing
is lost up to 0.8 entries a row.

What can be read off where is found first, on whole numbers and without
gradients; taking it out is linear, for any columns and any kind of number.
"""

import flax.struct
import jax
import jax.numpy as jnp

from mirage_jax.arrays import Array, Bool, Float, Int
from mirage_jax.geometry.contraction import uncontract
from mirage_jax.memory.tables import sums
from mirage_jax.memory.tables.first_true import first_true
from mirage_jax.memory.tables.vmem import Table, make_table, make_taker
from mirage_jax.memory.view_grid import keys as view_bins
from mirage_jax.memory.view_grid import table as view_tables
from mirage_jax.memory.view_grid.table import COLUMNS, RECENT, WHOLE, ViewCells

PARTS = 16  # of the table; one of them is peeled at most in a round
NAMING = 5  # columns that name an entry: weight, slot, position
HALF = 2**16  # a key is kept in two columns, as float32 holds 24 bits


@flax.struct.dataclass
class Plan:
  """The order in which entries are read off: rounds n of at most k.

  Attributes:
    found: `[n, k]` rows to read; the number of rows if there is none.
    rows: `[n, c, k]` all rows of these entries.
    naming: `[n, k, 5]` what names these entries: weight, slot, position.
  """

  found: Int[Array, 'n k']
  rows: Int[Array, 'n c k']
  naming: Float[Array, 'n k 5']


@flax.struct.dataclass
class Surfels:
  """Entries that could be read, one or none a row.

  Attributes:
    held: `[e]` whether the row gave an entry.
    slot: `[e]` slot of its view cell.
    points: `[e, 3]` mean position, metres, in the scene's frame.
    range_m: `[e]` distance from its view cell's centre.
    features: `[e, f]` mean features.
    weight: `[e]` evidence, 1 = one measured pixel.
    recent: `[e]` whether any of it was written since the last `advance`.
  """

  held: Bool[Array, 'e']
  slot: Int[Array, 'e']
  points: Float[Array, 'e 3']
  range_m: Float[Array, 'e']
  features: Float[Array, 'e f']
  weight: Float[Array, 'e']
  recent: Bool[Array, 'e']


def surfels(
  config, state: view_tables.ViewGridState, views: ViewCells
) -> Surfels:
  """Everything that the state still knows; gradients reach its features."""
  total = sums.as_float(state.entries)
  naming = jax.lax.stop_gradient(total[:, :NAMING])
  plan = make_plan(config, views, naming)
  rest = take_out(config, total[:, NAMING:], plan)[0]
  known = _in_rows(config, plan, plan.naming)
  held, slot, relative, _ = _means(config, views, known)
  relative = uncontract(relative * config.unit_m, config.radius_m)
  features = rest[:, COLUMNS - NAMING :] / jnp.maximum(known[:, :1], 0.5)
  if config.exact:
    features = sums.unquantise(features)
  (centre,) = make_taker((views.centre,), config.lookup)(slot)
  return Surfels(
    held=held,
    slot=slot,
    points=relative + centre,
    range_m=jnp.linalg.norm(relative, axis=-1),
    features=features,
    weight=known[:, 0] / view_bins.WEIGHTS,
    recent=rest[:, RECENT - NAMING] > 0.5,
  )


def make_plan(config, views: ViewCells, naming: Float[Array, 'e n']) -> Plan:
  """Plans the rows to read in each round, from the naming columns.

  A round takes out a part of what it could, so that scatters stay small, and
  looks again at the rows that this has changed. It does the same work whatever
  it finds: reading costs the same however much was written.
  """
  everywhere = jnp.arange(config.entries)
  alone, key = _alone(config, views, naming, everywhere)
  if config.choices == 1:
    found = jnp.where(alone, everywhere, config.entries)
    return Plan(found[None], _all_rows(config, key)[None], naming[None])
  most = config.entries // PARTS
  sums = make_table(naming, config.lookup)
  alone = make_table(alone[:, None], config.lookup)
  key = make_table(key[:, None], config.lookup)

  def one_round(carry, _):
    sums, alone, key = carry
    found = first_true(alone.unpack()[:, 0], most)
    anything = jnp.arange(most, dtype=jnp.uint32)
    keys = jnp.where(found < config.entries, key.take(found)[:, 0], anything)
    rows = _all_rows(config, keys)
    twin = _named_before(config, alone, key, found, keys, rows)
    found = jnp.where(twin, config.entries, found)
    taken = sums.take(found)
    sums = sums.add(rows, -taken)
    changed = rows.reshape(-1)
    again, new = _alone(config, views, sums.take(changed), changed)
    alone = alone.put(changed, again[:, None])
    key = key.put(changed, new[:, None])
    return (sums, alone, key), Plan(found, rows, taken)

  carry = (sums, alone, key)
  return jax.lax.scan(one_round, carry, None, length=config.rounds)[1]


def take_out(
  config, sums: Float[Array, 'e c'], plan: Plan
) -> tuple[Float[Array, 'e c'], Float[Array, 'e c']]:
  """The entries of a plan, each in one of its rows, and what they leave."""

  def one_round(table, step):
    taken = table.take(step.found)
    return table.add(step.rows, -taken), taken

  left, taken = jax.lax.scan(one_round, make_table(sums, config.lookup), plan)
  return _in_rows(config, plan, taken), left.unpack()


def _in_rows(config, plan: Plan, taken: Float[Array, 'n k c']):
  """Puts the content taken in a plan's rounds into the rows that gave it."""
  columns = taken.shape[-1]
  empty = jnp.zeros((config.entries, columns), taken.dtype)
  table = make_table(empty, config.lookup)
  found = plan.found.reshape(-1)
  return table.add(found[None], taken.reshape(-1, columns)).unpack()


def _all_rows(config, key):
  """`[c, ...]` the rows of keys."""
  return jnp.stack(
    [view_bins.rows_of(config, key, i) for i in range(config.choices)]
  )


def _means(config, views: ViewCells, sums: Float[Array, 'e c']):
  """Slot, relative position and key of rows, if each held one entry alone."""
  mean = sums / jnp.maximum(sums[:, :1], 0.5)
  slot = jnp.round(mean[:, 1])
  whole = jnp.abs(mean[:, 1] - slot) < WHOLE
  slot = jnp.clip(slot.astype(jnp.int32), 0, config.views - 1)
  relative = mean[:, 2:5]
  # A view's key, and whether there is one.
  named = jnp.stack([views.key, views.held.astype(views.key.dtype)], axis=1)
  view, known = make_table(named, config.lookup).take(slot).T
  key = view_bins.bin_key(config, view, relative)
  held = (sums[:, 0] > 0.5) & whole & (known > 0)
  return held, slot, relative, key


def _alone(config, views: ViewCells, sums, at: Int[Array, 'r']):
  """Tests whether the rows `at` hold one entry alone; and its key."""
  held, _, _, key = _means(config, views, sums)
  part = at // (config.entries // config.choices)
  here = view_bins.rows_of(config, key, 0)
  for i in range(1, config.choices):
    here = jnp.where(part == i, view_bins.rows_of(config, key, i), here)
  return held & (here == at), key


def _named_before(config, alone: Table, key: Table, found, keys, rows):
  """Tests whether an earlier row of an entry, found in a row, names it, too."""
  part = found // (config.entries // config.choices)
  before = jnp.arange(config.choices - 1)[:, None] < part
  earlier = rows[:-1]
  same = key.take(earlier)[..., 0] == keys
  return (same & alone.take(earlier)[..., 0] & before).any(0)
