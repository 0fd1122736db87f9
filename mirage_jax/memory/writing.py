"""Writing, forgetting and merging: sums of what points bring."""

import jax
import jax.numpy as jnp
import numpy as np

from mirage_jax.memory import accumulators, addressing, tables
from mirage_jax.memory.tables import HashGridState


def write(config, state, observation, sign: int) -> HashGridState:
  """Adds (or takes out, sign = -1) all points of an observation."""
  if not config.exact:
    return _write_float(config, state, observation, sign)
  overflow = state.overflow
  count, free = observation.weight.size, observation.free_weight.size
  for part in accumulators.pieces(max(count, free), tables.LARGEST):
    piece = _slice(observation, part, count, free)
    deltas = _scatter(config, _zeros(config, jnp.int32), piece, sign)
    state, over = _add(state, deltas)
    overflow = overflow | over
  return state.replace(overflow=overflow)


def merge(config, first: HashGridState, second: HashGridState):
  """Adds two states of one frame and layout; see `HashGrid.merge`."""
  _check_alike(first, second)
  if not config.exact:
    return first.replace(
      features=first.features + second.features,
      geometry=first.geometry + second.geometry,
      evidence=first.evidence + second.evidence,
    )
  sums = [
    accumulators.merge(getattr(first, name), getattr(second, name))
    for name in ('features', 'geometry', 'evidence')
  ]
  overflow = first.overflow | second.overflow
  for _, over in sums:
    overflow = overflow | over
  return HashGridState(first.frame, *(x for x, _ in sums), overflow)


def _slice(observation, part, count, free):
  """The part of an observation's points; longer ones end earlier."""
  names = ('points', 'contracted', 'features', 'weight', 'finest', 'generated')
  taken = {}
  for name, value in vars(observation).items():
    length = count if name in names else free
    stop = min(part.stop, length)
    taken[name] = None if value is None else value[min(part.start, stop) : stop]
  return type(observation)(**taken)


def _zeros(config, dtype):
  """Tables of zeros: features, geometry, evidence."""
  rows = sum(config.entries)
  return (
    jnp.zeros((rows, config.features), dtype),
    jnp.zeros((rows, tables.GEOMETRY), dtype),
    jnp.zeros((tables.evidence_rows(config), tables.EVIDENCE), dtype),
  )


def _write_float(config, state, observation, sign):
  """Float sums, scattered into the state itself."""
  sums = (state.features, state.geometry, state.evidence)
  features, geometry, evidence = _scatter(config, sums, observation, sign)
  return state.replace(features=features, geometry=geometry, evidence=evidence)


def _add(state, deltas):
  """Adds int32 tables to the exact sums."""
  names = ('features', 'geometry', 'evidence')
  overflow, changed = jnp.zeros((), bool), {}
  for name, delta in zip(names, deltas, strict=True):
    changed[name], over = accumulators.add(getattr(state, name), delta)
    overflow = overflow | over
  return state.replace(**changed), overflow


def _scatter(config, sums, observation, sign):
  """Adds every point to its row of every level that it is written to."""
  features, geometry, evidence = sums
  dtype = geometry.dtype
  rows, weights, positions = _rows(config, observation)
  weights = (sign * weights).astype(dtype)
  repeats = len(config.levels)
  values = jnp.tile(observation.features, (repeats, 1))
  features = features.at[rows].add(weights[:, None] * values, mode='drop')
  moments = weights[:, None] * positions.astype(dtype)
  geometry = geometry.at[rows].add(
    jnp.concatenate([moments, weights[:, None]], axis=1), mode='drop'
  )
  kept = observation.weight.size * config.evidence_levels
  made = jnp.tile(observation.generated, config.evidence_levels)
  occupied = jnp.stack([weights[:kept], weights[:kept] * made], axis=1)
  evidence = evidence.at[rows[:kept], : tables.FREE].add(occupied, mode='drop')
  free_rows, free = _free_rows(config, observation)
  free = (sign * free).astype(dtype)
  return (
    features,
    geometry,
    evidence.at[free_rows, tables.FREE :].add(
      jnp.stack([free, free], axis=1), mode='drop'
    ),
  )


def _rows(config, observation):
  """Rows, weights and positions in their blocks: level by level, `[l * p]`."""
  rows, weights, positions = [], [], []
  for i, level in enumerate(config.levels):
    points = observation.contracted if level.contracted else observation.points
    row, position, inside = addressing.place(level, points)
    written = inside & (i <= observation.finest)
    rows.append(row)
    weights.append(jnp.where(written, observation.weight, 0))
    positions.append(position)
  return tuple(jnp.concatenate(x) for x in (rows, weights, positions))


def _free_rows(config, observation):
  """Rows and weights of free points on the evidence levels, `[l * q]`."""
  rows, weights = [], []
  for level in config.levels[: config.evidence_levels]:
    points = observation.free_points
    if level.contracted:
      points = observation.free_contracted
    row, _, inside = addressing.place(level, points)
    rows.append(row)
    weights.append(jnp.where(inside, observation.free_weight, 0))
  return jnp.concatenate(rows), jnp.concatenate(weights)


def _check_alike(first, second):
  """Raises ValueError unless two states can be added."""
  layouts = [
    [(x.shape, x.dtype) for x in jax.tree.leaves(state)]
    for state in (first, second)
  ]
  if layouts[0] != layouts[1]:
    raise ValueError(
      f'cannot merge memories of layouts {layouts[0]} and {layouts[1]}; '
      'both must be made by one configuration'
    )
  frames = (first.frame, second.frame)
  if any(isinstance(x, jax.core.Tracer) for x in frames):
    return
  if not np.array_equal(*map(np.asarray, frames)):
    raise ValueError(
      'cannot merge memories of different scene frames; '
      'init both with the same frame'
    )
