"""Lattices: where points live."""

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mirage_jax.memory.hash_grid import lattice

DENSE = lattice.make_levels((0.5,), (2**9,), 4.0, 0.0)[0]
HASHED = lattice.make_levels((0.5,), (2**12,), 0.0, 0.0)[0]
UNIT = 0.5 / lattice.FRACTION


def all_cells(side):
  axis = np.arange(side) - side // 2
  grid = np.meshgrid(axis, axis, axis, indexing='ij')
  return np.stack(grid, -1).reshape(-1, 3)


def test_levels_that_fit_are_dense():
  assert DENSE.side_bits == 3 and not HASHED.side_bits
  far = lattice.make_levels((0.5, 0.1), (2**12, 8), 0.0, 2.0)
  assert far[0].contracted and far[0].side_bits == 4
  assert not far[1].contracted and far[1].first == 2**12


def test_a_dense_level_is_a_lookup_table():
  cells = all_cells(8)
  rows, inside = lattice.find_rows(DENSE, jnp.asarray(cells))
  assert np.asarray(inside).all()
  x, y, z = (cells + 4).T
  np.testing.assert_array_equal(rows, x + 8 * y + 64 * z)
  outside = jnp.array([[4, 0, 0], [0, -5, 0], [0, 0, 99]])
  assert not np.asarray(lattice.find_rows(DENSE, outside)[1]).any()


def test_hashed_cells_share_rows_no_more_than_chance():
  cells = all_cells(10)
  rows, _ = lattice.find_rows(HASHED, jnp.asarray(cells))
  used = len(np.unique(rows)) / 2**12
  chance = 1 - np.exp(-len(cells) / 2**12)
  assert abs(used - chance) < 0.02
  opposite, _ = lattice.find_rows(HASHED, jnp.asarray(-1 - cells))
  assert (np.asarray(rows) == np.asarray(opposite)).mean() < 0.01


@settings(max_examples=30, deadline=None)
@given(st.tuples(*[st.floats(-100, 100, width=32)] * 3))
def test_a_point_is_where_its_cell_and_place_say(point):
  units = lattice.quantise(jnp.array([point]), UNIT)
  np.testing.assert_allclose(units[0] * UNIT, point, atol=UNIT)
  row, place, inside = lattice.place(HASHED, units)
  cells = units // HASHED.units
  same, _ = lattice.find_rows(HASHED, cells)
  assert inside.all() and (row == same).all()
  corner = (cells & (lattice.BLOCK - 1)) * lattice.FRACTION
  assert (place >= corner).all()
  assert (place < corner + lattice.FRACTION).all()


@pytest.mark.parametrize('which', [0, 1])
def test_levels_can_vary_from_lookup_to_lookup(which):
  levels = lattice.make_levels((0.5, 0.1), (2**9, 2**8), 4.0, 0.0)
  cells = jnp.asarray(all_cells(8))
  rows, inside = lattice.rows_of(levels, jnp.full(len(cells), which), cells)
  expected, within = lattice.find_rows(levels[which], cells)
  np.testing.assert_array_equal(rows, expected)
  np.testing.assert_array_equal(inside, within)
