"""Erases a region from a hash grid: all cells that it touches."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from mirage_jax.arrays import Array, Bool, Float, Int
from mirage_jax.geometry.contraction import contract
from mirage_jax.memory.hash_grid import lattice, table
from mirage_jax.memory.hash_grid.table import HashGridState
from mirage_jax.memory.regions import Erased, Region, check_region
from mirage_jax.memory.tables.sums import as_float

MOST_CELLS = 2**23  # of a region on one level: 100 MB of their coordinates


def forget_region(
  config: Any, state: HashGridState, region: Region
) -> tuple[HashGridState, Erased]:
  """Empties all rows of cells that touch `region`.

  Returns:
    the state, and `Erased`.

  Raises:
    ValueError: for a region that is empty or has too many cells.
  """
  check_region(region)
  weight = np.asarray(as_float(state.geometry))
  gone, free_gone, rows, elsewhere = [], [], 0, 0
  for level in config.levels:
    cells = _cells(config, level, region)
    row, inside = map(np.asarray, lattice.find_rows(level, cells))
    row, cells = row[inside], cells[inside]
    gone.append(row)
    touched = np.unique(row[weight[row, 3] != 0])
    own = np.unique(row[_own(weight, row, cells)])
    rows, elsewhere = rows + touched.size, elsewhere + touched.size - own.size
  for level in config.free_levels:
    row, inside = lattice.find_rows(level, _cells(config, level, region))
    free_gone.append(np.asarray(row)[np.asarray(inside)])
  gone, free_gone = np.concatenate(gone), np.concatenate(free_gone)
  kept = gone[gone < table.evidence_rows(config)]
  cut = {
    'features': gone,
    'geometry': gone,
    'occupied': kept,
    'free': free_gone,
  }
  changed = {
    name: jax.tree.map(
      lambda x, at=at: jnp.asarray(x).at[at].set(0), getattr(state, name)
    )
    for name, at in cut.items()
  }
  return dataclasses.replace(state, **changed), Erased(
    int(rows), int(elsewhere)
  )


def _cells(
  config: Any, level: lattice.Level, region: Region
) -> Int[Array, 'c 3']:
  """Lists the cells of a level that touch the region, and some more."""
  slack = level.cell_m / lattice.FRACTION  # points are rounded to units
  low, high = np.array(region.low), np.array(region.high)
  if level.contracted:
    low, high = _contracted_bounds(low, high, config.radius_m)
  first = np.floor((low - slack) / level.cell_m).astype(np.int64)
  last = np.floor((high + slack) / level.cell_m).astype(np.int64)
  if np.prod(last - first + 1) > MOST_CELLS:
    raise ValueError(
      f'{region} has more than {MOST_CELLS} cells of {level.cell_m:.3g} m; '
      'forget it in smaller parts'
    )
  axes = [np.arange(a, b + 1) for a, b in zip(first, last, strict=True)]
  cells = np.stack(np.meshgrid(*axes, indexing='ij'), -1).reshape(-1, 3)
  if not level.contracted:
    corner = cells * level.cell_m
    touch = region.meets(corner - slack, corner + level.cell_m + slack)
    cells = cells[np.asarray(touch)]
  return cells.astype(np.int32)


def _contracted_bounds(
  low: Float[np.ndarray, '3'], high: Float[np.ndarray, '3'], radius: float
) -> tuple[Float[np.ndarray, '3'], Float[np.ndarray, '3']]:
  """Bounds the contraction of the box low ... high by a box.

  Contraction scales a point by a factor that falls with its distance.
  """
  nearest = np.linalg.norm(np.clip(0.0, low, high))
  farthest = np.linalg.norm(np.maximum(np.abs(low), np.abs(high)))
  scales = [
    float(contract(jnp.array([d, 0.0, 0.0]), radius)[0]) / d if d > 0 else 1.0
    for d in (nearest, farthest)
  ]
  corners = np.array([a * s for a in (low, high) for s in scales])
  return corners.min(0), corners.max(0)


def _own(
  weight: Float[np.ndarray, 'e 4'],
  row: Int[Array, 'c'],
  cells: Int[Array, 'c 3'],
) -> Bool[np.ndarray, 'c']:
  """Tests that the rows' mean positions lie in these very cells."""
  held = weight[row, 3] != 0
  mean = weight[row, :3] / np.where(held, weight[row, 3], 1)[:, None]
  within = mean - (cells & (lattice.BLOCK - 1)) * lattice.FRACTION
  slack = 1
  inside = (within >= -slack) & (within < lattice.FRACTION + slack)
  return held & inside.all(-1)
