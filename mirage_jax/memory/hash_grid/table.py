"""The tables of a hash grid: what its state holds, and means of the sums."""

import dataclasses
from typing import Any

import flax.struct
import jax
import jax.numpy as jnp

from mirage_jax import sharding
from mirage_jax.arrays import Array, Float
from mirage_jax.memory.contract import MemoryState, check_features
from mirage_jax.memory.tables import accumulators, sharded, sums
from mirage_jax.memory.tables.sums import Sums

WEIGHT = 63  # the largest weight of a point
LARGEST = 255 * WEIGHT  # ... times the largest feature or position
GEOMETRY = 4  # columns: first moment of position (3), weight
OCCUPIED = 3  # columns: recent, all, generated
FREE = 2  # columns: recent, all
BITS = {'features': 48, 'geometry': 48, 'occupied': 40, 'free': 40}


@flax.struct.dataclass
class HashGridState(MemoryState):
  """Sums of everything written; float32 `[e, c]`, or `Wide` if exact.

  Attributes:
    features: weighted features, one column each.
    geometry: weighted position (3) and weight.
    occupied: recent, all and generated weight of the evidence levels (they
      come first; what is not recent is older).
    free: recent and all weight of empty space, rows of their own: there is
      more of it than of surfaces, and it would drown them.
  """

  features: Sums
  geometry: Sums
  occupied: Sums
  free: Sums


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
  for entries in (*config.entries, *config.free_entries):
    if entries < 1 or entries & (entries - 1):
      raise ValueError(f'entries has {entries}; expected a power of two')
  if not 1 <= config.evidence_levels <= len(config.cell_m):
    raise ValueError(
      f'evidence_levels is {config.evidence_levels}; '
      f'expected 1 to {len(config.cell_m)}, the number of levels'
    )
  if len(free_rows(config)) != config.evidence_levels:
    raise ValueError(
      f'free_entries is {config.free_entries}; expected one number for each '
      f'of the {config.evidence_levels} evidence levels'
    )
  check_features(config.features)


def free_rows(config) -> tuple[int, ...]:
  """Rows of free space of the evidence levels."""
  kept = config.entries[: config.evidence_levels]
  return tuple(config.free_entries) or tuple(2 * rows for rows in kept)


def evidence_rows(config) -> int:
  """Rows of the levels that keep free-space evidence."""
  return sum(config.entries[: config.evidence_levels])


def shapes(config) -> dict[str, tuple[int, int]]:
  """Rows and columns of the tables."""
  rows = sum(config.entries)
  return {
    'features': (rows, config.features),
    'geometry': (rows, GEOMETRY),
    'occupied': (evidence_rows(config), OCCUPIED),
    'free': (sum(free_rows(config)), FREE),
  }


def init(config, frame: Float[Array, '4 4']) -> HashGridState:
  """An empty state with the axes `frame` (world_from_scene)."""
  tables = {
    name: sums.empty(*shape, config.exact, BITS[name])
    for name, shape in shapes(config).items()
  }
  if config.sharded:
    lay = lambda x: sharding.constrain(x, 'entries', None)
    tables = jax.tree.map(lay, tables)
  return HashGridState(
    frame=jnp.asarray(frame, jnp.float32),
    overflow=jnp.zeros((), bool),
    **tables,
  )


def specs() -> Any:
  """Partition of a state over the devices if its tables are sharded."""
  where: dict[str, Any] = dict.fromkeys(BITS, sharded.DIVIDED)
  where |= {'frame': sharded.WHOLE, 'overflow': sharded.WHOLE}
  return HashGridState(**where)


def total_weight(config, state: HashGridState) -> Float[Array, 'e']:
  """Occupied evidence of every row."""
  del config
  return sums.as_float(state.geometry)[:, 3]


def advance(config, state: HashGridState) -> HashGridState:
  """Recent evidence becomes old: the recent columns (0) are emptied."""
  del config
  occupied, free = jax.tree.map(
    lambda x: x.at[:, 0].set(0), (state.occupied, state.free)
  )
  return dataclasses.replace(state, occupied=occupied, free=free)


def frame_capacity(points: int, free_points: int) -> int:
  """Frames that fit an exact grid even if all points fall into one cell.

  Args:
    points: pixels of a frame.
    free_points: points of its free space: rays times samples.
  """
  return min(
    accumulators.capacity(LARGEST, 48) // points,
    accumulators.capacity(WEIGHT, 40) // max(points, free_points),
  )
