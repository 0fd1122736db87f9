"""The tables of a hash grid: what its state holds, and means of the sums."""

import math

import flax.struct
import jax
import jax.numpy as jnp

from mirage_jax.arrays import Array, Bool, Float
from mirage_jax.memory import accumulators
from mirage_jax.memory.accumulators import Wide

WEIGHT = 63  # the largest weight of a point
LARGEST = 255 * WEIGHT  # ... times the largest feature or position
GEOMETRY = 4  # columns: first moment of position (3), weight
EVIDENCE = 4  # columns: recent, generated, free, recent free
RECENT, GENERATED, FREE, RECENT_FREE = range(EVIDENCE)

Sums = Wide | Array


@flax.struct.dataclass
class HashGridState:
  """Sums of everything written; float32 `[e, c]`, or `Wide` if exact.

  Attributes:
    frame: `[4, 4]` world_from_scene.
    features: weighted features, one column each.
    geometry: weighted position (3) and weight.
    evidence: recent, generated, free and recent free weight; of the rows of
      the evidence levels only (these come first).
    overflow: whether any exact sum ever left its range.
  """

  frame: Float[Array, '*b 4 4']
  features: Sums
  geometry: Sums
  evidence: Sums
  overflow: Bool[Array, '*b']


def check_config(config) -> None:
  """Raises ValueError for a configuration that makes no grid."""
  if len(config.cell_m) != len(config.entries) or not config.cell_m:
    raise ValueError(
      f'cell_m has {len(config.cell_m)} levels and entries '
      f'{len(config.entries)}; give one of each for every level'
    )
  if (
    list(config.cell_m) != sorted(config.cell_m, reverse=True)
    or min(config.cell_m) <= 0
  ):
    raise ValueError(f'cell_m is {config.cell_m}; list cells coarse to fine')
  for entries in config.entries:
    if entries < 1 or entries & (entries - 1):
      raise ValueError(f'entries has {entries}; expected a power of two')
  if not 1 <= config.evidence_levels <= len(config.cell_m):
    raise ValueError(
      f'evidence_levels is {config.evidence_levels}; '
      f'expected 1 to {len(config.cell_m)}, the number of levels'
    )
  if config.features < 3:
    raise ValueError(
      f'features is {config.features}; at least 3, the first are rgb'
    )


def evidence_rows(config) -> int:
  """Rows of the levels that keep free-space evidence."""
  return sum(config.entries[: config.evidence_levels])


def empty(config, entries: int, columns: int) -> Sums:
  """Sums of the configuration's kind that are zero."""
  if config.exact:
    return accumulators.zeros(entries, columns)
  return jnp.zeros((entries, columns), jnp.float32)


def init(config, frame: Float[Array, '4 4']) -> HashGridState:
  """An empty state with the axes `frame` (world_from_scene)."""
  rows = sum(config.entries)
  return HashGridState(
    frame=jnp.asarray(frame, jnp.float32),
    features=empty(config, rows, config.features),
    geometry=empty(config, rows, GEOMETRY),
    evidence=empty(config, evidence_rows(config), EVIDENCE),
    overflow=jnp.zeros((), bool),
  )


def as_float(sums: Sums) -> Float[Array, 'e c']:
  """The sums as float32, whatever they are kept in."""
  return accumulators.to_float(sums) if isinstance(sums, Wide) else sums


def total_weight(config, state: HashGridState) -> Float[Array, 'e']:
  """Occupied evidence of every row."""
  del config
  return as_float(state.geometry)[:, 3]


def advance(config, state: HashGridState) -> HashGridState:
  """Recent evidence becomes old: the recent columns are emptied."""
  del config
  keep = (
    jnp.ones(EVIDENCE, bool).at[jnp.array([RECENT, RECENT_FREE])].set(False)
  )
  evidence = jax.tree.map(
    lambda x: jnp.where(keep, x, jnp.zeros_like(x)), state.evidence
  )
  return state.replace(evidence=evidence)


def frame_capacity(points_per_frame: int) -> int:
  """Frames that fit an exact grid even if all points fall into one cell."""
  return math.floor(accumulators.capacity(LARGEST) / points_per_frame)
