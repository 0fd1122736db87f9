"""Writing, forgetting and merging: sums of what points bring."""

import dataclasses

import jax.numpy as jnp

from mirage_jax.memory.hash_grid import lattice, table
from mirage_jax.memory.hash_grid.table import HashGridState
from mirage_jax.memory.tables import accumulators, sharded


def write(config, state, observation, sign: int) -> HashGridState:
  """Adds (or takes out, sign = -1) all points of an observation."""
  if not config.sharded:
    return _write(config, state, observation, sign)
  lie = table.specs()
  write = lambda state, observation: _write(config, state, observation, sign)
  return sharded.divide(write, (lie, sharded.WHOLE), lie)(state, observation)


def _write(config, state, observation, sign):
  """`write`, of whole tables or of parts."""
  if not config.exact:
    return _write_float(config, state, observation, sign)
  overflow = state.overflow
  count, free = observation.weight.size, observation.free_weight.size
  for part in accumulators.pieces(max(count, free), table.LARGEST):
    piece = _slice(observation, part, count, free)
    nothing = {
      name: jnp.zeros(getattr(state, name).low.shape, jnp.int32)
      for name in table.BITS
    }
    deltas = _scatter(config, nothing, piece, sign)
    state, over = _add(state, deltas)
    overflow = overflow | over
  return dataclasses.replace(state, overflow=sharded.anywhere(overflow))


def _slice(observation, part, count, free):
  """The part of an observation's points; longer ones end earlier."""
  names = ('points', 'contracted', 'features', 'weight', 'finest', 'generated')
  taken = {}
  for name, value in vars(observation).items():
    length = count if name in names else free
    stop = min(part.stop, length)
    taken[name] = None if value is None else value[min(part.start, stop) : stop]
  return type(observation)(**taken)


def _write_float(config, state, observation, sign):
  """Float sums, scattered into the state itself."""
  sums = {name: getattr(state, name) for name in table.BITS}
  return dataclasses.replace(state, **_scatter(config, sums, observation, sign))


def _add(state, deltas):
  """Adds int32 tables to the exact sums."""
  overflow, changed = jnp.zeros((), bool), {}
  for name, delta in deltas.items():
    changed[name], over = accumulators.add(getattr(state, name), delta)
    overflow = overflow | over
  return dataclasses.replace(state, **changed), overflow


def _scatter(config, sums, observation, sign):
  """Adds every point to its row of every level that it is written to."""
  dtype = sums['geometry'].dtype
  rows, weights, positions = _rows(config, observation)
  weights = (sign * weights).astype(dtype)[:, None]
  values = jnp.tile(observation.features, (len(config.levels), 1))
  geometry = jnp.concatenate([positions.astype(dtype), weights * 0 + 1], 1)
  kept = observation.weight.size * config.evidence_levels
  made = jnp.tile(observation.generated, config.evidence_levels)
  one = made * 0 + 1
  occupied = weights[:kept] * jnp.stack([one, one, made], axis=1)
  free_rows, free = _free_rows(config, observation)
  free = (sign * free).astype(dtype)
  brought = {
    'features': (rows, weights * values),
    'geometry': (rows, weights * geometry),
    'occupied': (rows[:kept], occupied.astype(dtype)),
    'free': (free_rows, jnp.stack([free, free], axis=1)),
  }
  return {
    name: sharded.add(sums[name], at, what)
    for name, (at, what) in brought.items()
  }


def _rows(config, observation):
  """Rows, weights and positions in their blocks: level by level, `[l * p]`."""
  rows, weights, positions = [], [], []
  for i, level in enumerate(config.levels):
    points = observation.contracted if level.contracted else observation.points
    row, position, inside = lattice.place(level, points)
    written = inside & (i <= observation.finest)
    rows.append(row)
    weights.append(jnp.where(written, observation.weight, 0))
    positions.append(position)
  return tuple(jnp.concatenate(x) for x in (rows, weights, positions))


def _free_rows(config, observation):
  """Rows and weights of free points on the evidence levels, `[l * q]`."""
  rows, weights = [], []
  for level in config.free_levels:
    points = observation.free_points
    if level.contracted:
      points = observation.free_contracted
    row, inside = lattice.find_rows(level, points // level.units)
    rows.append(row)
    weights.append(jnp.where(inside, observation.free_weight, 0))
  return jnp.concatenate(rows), jnp.concatenate(weights)
