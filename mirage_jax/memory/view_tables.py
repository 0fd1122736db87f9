"""The tables of a view grid: sums that are written, and surfels got back.

An entry (the mean of all points of one bin) is added to `choices` rows. A row
that holds one entry alone names it: its mean slot is a whole number, and its
mean position hashes to this very row. Such entries are read off and taken out
of their other rows, which frees further ones: the peeling of an invertible
Bloom lookup table (Goodrich and Mitzenmacher 2011). With three choices nothing
is lost up to 0.8 entries a row.
"""

import dataclasses

import flax.struct
import jax
import jax.numpy as jnp

from mirage_jax.arrays import Array, Bool, Float, Int, UInt32
from mirage_jax.memory import accumulators, view_bins
from mirage_jax.memory.accumulators import Wide

COLUMNS = 5  # weight, slot, position (3); features follow
VIEW_COLUMNS = 8  # count, position (3), forward (3), generated
PARTS = 8  # of the table; one of them is peeled at most in a round
WHOLE = 0.02  # how far a mean may be from the whole number that it is

Sums = Wide | Array


@flax.struct.dataclass
class ViewGridState:
  """Sums of everything written; float32 `[e, c]`, or `Wide` if exact.

  Attributes:
    frame: `[4, 4]` world_from_scene.
    entries: weight, and weighted slot, position and features.
    views: the cameras of each view cell.
    overflow: whether any exact sum ever left its range.
  """

  frame: Float[Array, '*b 4 4']
  entries: Sums
  views: Sums
  overflow: Bool[Array, '*b']


@flax.struct.dataclass
class Views:
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
  """

  held: Bool[Array, 'e']
  slot: Int[Array, 'e']
  points: Float[Array, 'e 3']
  range_m: Float[Array, 'e']
  features: Float[Array, 'e f']
  weight: Float[Array, 'e']


def init(config, frame: Float[Array, '4 4']) -> ViewGridState:
  """An empty state with the axes `frame` (world_from_scene)."""

  def empty(rows, columns):
    if config.exact:
      return accumulators.zeros(rows, columns)
    return jnp.zeros((rows, columns), jnp.float32)

  return ViewGridState(
    frame=jnp.asarray(frame, jnp.float32),
    entries=empty(config.entries, COLUMNS + config.features),
    views=empty(config.views, VIEW_COLUMNS),
    overflow=jnp.zeros((), bool),
  )


def as_float(sums: Sums) -> Float[Array, 'e c']:
  """The sums as float32, whatever they are kept in."""
  return accumulators.to_float(sums) if isinstance(sums, Wide) else sums


def write(config, state: ViewGridState, observation, sign: int):
  """Adds (or takes out, sign = -1) all points of an observation."""
  dtype = jnp.int32 if config.exact else jnp.float32
  weight = (sign * observation.weight).astype(dtype)[:, None]
  values = jnp.concatenate(
    [
      jnp.ones_like(weight),
      observation.content.astype(dtype),
      observation.features.astype(dtype),
    ],
    axis=1,
  )
  values = weight * values
  rows = [
    view_bins.rows_of(config, observation.key, i) for i in range(config.choices)
  ]
  rows, values = jnp.concatenate(rows), jnp.tile(values, (config.choices, 1))
  view_values = (sign * observation.view_content).astype(dtype)
  entries, over = _add(state.entries, rows, values)
  views, over_views = _add(state.views, observation.view_slot, view_values)
  overflow = state.overflow | over | over_views
  return dataclasses.replace(
    state, entries=entries, views=views, overflow=overflow
  )


def _add(sums: Sums, rows, values):
  """Sums with values scattered into rows, and whether any left its range."""
  if not isinstance(sums, Wide):
    return jnp.asarray(sums).at[rows].add(values), jnp.zeros((), bool)
  delta = jnp.zeros(sums.low.shape, jnp.int32).at[rows].add(values)
  return accumulators.add(sums, delta)


def view_cells(config, state: ViewGridState) -> Views:
  """The view cells that the state has seen, by slot."""
  sums = as_float(state.views)
  count = sums[:, :1]
  mean = sums / jnp.maximum(count, 1)
  position, forward = mean[:, 1:4], mean[:, 4:7]
  generated = mean[:, 7] > 0.5
  key, centre = view_bins.view_key(config, position, forward, generated)
  slot = (key % jnp.uint32(config.views)).astype(jnp.int32)
  alone = (mean[:, 7] < WHOLE) | (mean[:, 7] > 1 - WHOLE)
  held = (count[:, 0] > 0.5) & alone & (slot == jnp.arange(config.views))
  length = jnp.linalg.norm(forward, axis=1, keepdims=True)
  return Views(
    position=position * config.unit_m,
    forward=forward / jnp.maximum(length, 1),
    centre=centre,
    key=key,
    held=held,
    generated=generated,
  )


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


def peel(
  config, views: Views, sums: Float[Array, 'e c']
) -> Float[Array, 'e c']:
  """The entries that can be told apart, each in one of its rows."""
  # A round takes out a part of what it could, so that scatters stay small.
  most = config.entries // PARTS

  def one_round(carry, _):
    sums, entries = carry
    first, key = _alone(config, views, sums)
    found = jnp.nonzero(first, size=most, fill_value=config.entries)[0]
    taken = sums.at[found].get(mode='fill', fill_value=0)
    keys = jnp.asarray(key).at[found].get(mode='fill', fill_value=0)
    entries = entries.at[found].set(taken, mode='drop')
    for i in range(config.choices):
      sums = sums.at[view_bins.rows_of(config, keys, i)].add(-taken)
    return (sums, entries), None

  if config.choices == 1:
    return jnp.where(_alone(config, views, sums)[0][:, None], sums, 0)
  carry = (sums, jnp.zeros_like(sums))
  return jax.lax.scan(one_round, carry, None, length=config.rounds)[0][1]


def surfels(config, state: ViewGridState, views: Views) -> Surfels:
  """Everything that the state still knows, as surfels."""
  entries = peel(config, views, as_float(state.entries))
  held, slot, relative, _ = _means(config, views, entries)
  relative = relative * config.unit_m
  features = entries[:, COLUMNS:] / jnp.maximum(entries[:, :1], 0.5)
  if config.exact:
    features = features / 127.5 - 1
  return Surfels(
    held=held,
    slot=slot,
    points=relative + views.centre[slot],
    range_m=jnp.linalg.norm(relative, axis=-1),
    features=features,
    weight=entries[:, 0] / view_bins.WEIGHTS,
  )
