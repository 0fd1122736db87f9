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
from mirage_jax.memory import view_bins, view_tables
from mirage_jax.memory.view_tables import COLUMNS, RECENT, WHOLE, Views

PARTS = 8  # of the table; one of them is peeled at most in a round
NAMING = 5  # columns that name an entry: weight, slot, position


@flax.struct.dataclass
class Plan:
  """The order in which entries are read off: rounds n of at most k.

  Attributes:
    found: `[n, k]` rows to read; the number of rows if there is none.
    rows: `[n, k, c]` all rows of these entries.
  """

  found: Int[Array, 'n k']
  rows: Int[Array, 'n k c']


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


def surfels(config, state: view_tables.ViewGridState, views: Views) -> Surfels:
  """Everything that the state still knows; gradients reach its features."""
  sums = view_tables.as_float(state.entries)
  naming = jax.lax.stop_gradient(sums[:, :NAMING])
  plan = make_plan(config, views, naming)
  entries = take_out(sums, plan)[0]
  known = jax.lax.stop_gradient(entries[:, :COLUMNS])
  held, slot, relative, _ = _means(config, views, known)
  relative = uncontract(relative * config.unit_m, config.radius_m)
  features = entries[:, COLUMNS:] / jnp.maximum(known[:, :1], 0.5)
  if config.exact:
    features = features / 127.5 - 1
  return Surfels(
    held=held,
    slot=slot,
    points=relative + views.centre[slot],
    range_m=jnp.linalg.norm(relative, axis=-1),
    features=features,
    weight=known[:, 0] / view_bins.WEIGHTS,
    recent=known[:, RECENT] > 0.5,
  )


def make_plan(config, views: Views, naming: Float[Array, 'e n']) -> Plan:
  """Which rows to read in which round, from the naming columns."""
  if config.choices == 1:
    first, key = _alone(config, views, naming)
    found = jnp.where(first, jnp.arange(config.entries), config.entries)
    return Plan(found[None], _all_rows(config, key)[None])
  # A round takes out a part of what it could, so that scatters stay small.
  most = config.entries // PARTS

  def one_round(sums, _):
    first, key = _alone(config, views, sums)
    found = jnp.nonzero(first, size=most, fill_value=config.entries)[0]
    keys = jnp.asarray(key).at[found].get(mode='fill', fill_value=0)
    rows = _all_rows(config, keys)
    return _remove(sums, found, rows)[0], Plan(found, rows)

  return jax.lax.scan(one_round, naming, None, length=config.rounds)[1]


def take_out(
  sums: Float[Array, 'e c'], plan: Plan
) -> tuple[Float[Array, 'e c'], Float[Array, 'e c']]:
  """The entries of a plan, each in one of its rows, and what they leave."""
  sums, taken = jax.lax.scan(
    lambda sums, step: _remove(sums, step.found, step.rows), sums, plan
  )
  found = plan.found.reshape(-1)
  taken = taken.reshape(-1, sums.shape[1])
  entries = jnp.zeros_like(sums).at[found].set(taken, mode='drop')
  return entries, sums


def _remove(sums, found, rows):
  """Sums without the entries read at `found`, and these entries."""
  taken = sums.at[found].get(mode='fill', fill_value=0)
  for i in range(rows.shape[-1]):
    sums = sums.at[rows[:, i]].add(-taken)
  return sums, taken


def _all_rows(config, key):
  """`[..., c]` the rows of keys."""
  rows = [view_bins.rows_of(config, key, i) for i in range(config.choices)]
  return jnp.stack(rows, axis=-1)


def _means(config, views: Views, sums: Float[Array, 'e c']):
  """Slot, relative position and key of rows, if each held one entry alone."""
  mean = sums / jnp.maximum(sums[:, :1], 0.5)
  slot = jnp.round(mean[:, 1])
  whole = jnp.abs(mean[:, 1] - slot) < WHOLE
  slot = jnp.clip(slot.astype(jnp.int32), 0, config.views - 1)
  relative = mean[:, 2:5]
  key = view_bins.bin_key(config, views.key[slot], relative)
  held = (sums[:, 0] > 0.5) & whole & views.held[slot]
  return held, slot, relative, key


def _alone(config, views: Views, sums):
  """The rows that hold one entry alone, and their keys; each entry once."""
  held, _, _, key = _means(config, views, sums)
  rows = [view_bins.rows_of(config, key, i) for i in range(config.choices)]
  size = config.entries // config.choices
  part = jnp.arange(config.entries) // size
  here = sum((part == i) * rows[i] for i in range(config.choices))
  alone = held & (here == jnp.arange(config.entries))
  first = alone
  for i in range(config.choices - 1):
    twin = alone[rows[i]] & (key[rows[i]] == key) & (part > i)
    first = first & ~twin
  return first, key
