"""Lattices of voxels, and the rows of their tables where a point is kept.

All levels share one table; a level is a range of its rows. Points are int32
in units of 1/32 of the finest cell, so a point's cell, and its place within
the cell, are integer arithmetic and the same on every device.
"""

import dataclasses
import functools
import math

import jax.numpy as jnp

from mirage_jax.arrays import Array, Bool, Float, Int
from mirage_jax.memory.tables.hashing import hash_cells

FRACTION = 32  # positions are kept in 1/32 of a cell
BLOCK = 8  # ... relative to the corner of the cell's block of 8^3 cells
FAR_UNITS = 2**29


@dataclasses.dataclass(frozen=True)
class Level:
  """One lattice and its rows.

  Attributes:
    units: length of a cell in lattice units.
    cell_m: the same in metres (contracted metres if `contracted`).
    entries: rows of the level, a power of two.
    first: its first row.
    side_bits: a dense level has 2**side_bits cells an axis, centred on the
      scene frame's origin; 0 says that the level is hashed.
    contracted: whether its coordinates are contracted.
  """

  units: int
  cell_m: float
  entries: int
  first: int
  side_bits: int
  contracted: bool


@functools.lru_cache
def make_levels(
  cell_m: tuple[float, ...],
  entries: tuple[int, ...],
  extent_m: float,
  radius_m: float,
) -> tuple[Level, ...]:
  """Levels of these cells, coarse to fine.

  A level is dense if `extent_m` (0 = unknown) in its cells fits its entries;
  with a `radius_m` the coarsest level is contracted to a ball of twice that.
  """
  levels, first, unit_m = [], 0, cell_m[-1] / FRACTION
  for i, (cell, count) in enumerate(zip(cell_m, entries, strict=True)):
    units = round(cell / unit_m)
    contracted = radius_m > 0 and i == 0
    extent = 4 * radius_m if contracted else extent_m
    bits = math.ceil(math.log2(max(extent / (units * unit_m), 1)))
    dense = extent > 0 and 8**bits <= count
    levels.append(
      Level(
        units, units * unit_m, count, first, bits if dense else 0, contracted
      )
    )
    first += count
  return tuple(levels)


def quantise(
  points_m: Float[Array, '*batch 3'], unit_m: float
) -> Int[Array, '*batch 3']:
  """Lattice units of points in metres."""
  units = jnp.round(points_m / unit_m)
  return jnp.clip(units, -FAR_UNITS, FAR_UNITS).astype(jnp.int32)


def place(
  level: Level, points: Int[Array, 'p 3']
) -> tuple[Int[Array, 'p'], Int[Array, 'p 3'], Bool[Array, 'p']]:
  """Row, position in its block (1/32 cells), and whether there is a row."""
  cells = points // level.units
  within = (points - cells * level.units) * FRACTION // level.units
  row, inside = find_rows(level, cells)
  return row, within + (cells & (BLOCK - 1)) * FRACTION, inside


def find_rows(
  level: Level, cells: Int[Array, '*batch 3']
) -> tuple[Int[Array, '*batch'], Bool[Array, '*batch']]:
  """Rows of a level's cells, and whether a dense level reaches that far."""
  if not level.side_bits:
    row = hash_cells(cells) & jnp.uint32(level.entries - 1)
    inside = jnp.ones(row.shape, bool)
  else:
    row, inside = dense_cells(cells, level.side_bits)
  return row.astype(jnp.int32) + level.first, inside


def dense_cells(cells, bits):
  """Rows of cells in a cube of 2**bits cells an axis round the origin."""
  half = (1 << bits) >> 1
  moved = cells + half
  inside = ((moved >= 0) & (moved < 2 * half)).all(-1)
  x, y, z = (moved[..., i].astype(jnp.uint32) for i in range(3))
  row = x + (y << bits) + (z << (2 * bits))
  return jnp.where(inside, row, 0), inside


def rows_of(
  levels: tuple[Level, ...],
  which: Int[Array, '*batch'],
  cells: Int[Array, '*corners 3'],
) -> tuple[Int[Array, '*corners'], Bool[Array, '*corners']]:
  """Rows of cells whose level varies: `which` broadcasts against `corners`."""
  masks = jnp.array([level.entries - 1 for level in levels], jnp.uint32)
  firsts = jnp.array([level.first for level in levels], jnp.int32)
  row = hash_cells(cells) & masks[which]
  inside = jnp.ones(row.shape, bool)
  for i, level in enumerate(levels):
    if level.side_bits:
      dense, within = dense_cells(cells, level.side_bits)
      row = jnp.where(which == i, dense, row)
      inside = jnp.where(which == i, within, inside)
  return row.astype(jnp.int32) + firsts[which], inside
