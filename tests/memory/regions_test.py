"""Forgetting a region erases all that it holds."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mirage_jax.memory.hash_grid.grid import HashGrid
from mirage_jax.memory.hash_grid.observation import Observation
from mirage_jax.memory.regions import Box, Sphere
from mirage_jax.memory.tables.sums import as_float

GRID = HashGrid(
  cell_m=(0.5, 0.125), entries=(2**10, 2**12), exact=True, radius_m=2.0
)
UNIT = 0.125 / 32
write = jax.jit(HashGrid.write, static_argnums=0)


def scattered(points):
  """An observation of bare points, metres."""
  from mirage_jax.memory.hash_grid import observation

  points = jnp.asarray(points, jnp.float32)
  count = len(points)
  lattice, contracted = observation._lattices(GRID, points)
  ones = jnp.ones(count, jnp.int32)
  return Observation(
    points=lattice,
    contracted=contracted,
    features=jnp.full((count, 3), 200, jnp.int32),
    weight=ones * 9,
    finest=ones,
    generated=ones * 0,
    free_points=lattice,
    free_contracted=contracted,
    free_weight=ones * 5,
  )


@pytest.mark.parametrize(
  'region',
  [
    Box((-0.3, 0.2, 0.4), (0.7, 1.1, 0.9)),
    Sphere((0.1, -0.6, 1.2), 0.45),
    Box((3.0, -1.0, 2.5), (3.6, -0.2, 4.0)),
  ],
)
def test_nothing_of_the_region_is_left(region):
  rng = np.random.default_rng(0)
  low, high = np.array(region.low), np.array(region.high)
  inside = rng.uniform(low, high, (300, 3))
  if isinstance(region, Sphere):
    distance = np.linalg.norm(inside - region.centre, axis=1)
    inside = inside[distance < region.radius]
  empty = GRID.init(jnp.eye(4))
  state = write(GRID, empty, scattered(inside[:100]))
  after, erased = GRID.forget_region(state, region)
  assert erased.rows > 50 and erased.elsewhere < 5  # they share rows, too
  for name in ('features', 'geometry', 'occupied', 'free'):
    assert not as_float(getattr(after, name)).any(), name


def test_what_is_elsewhere_stays_but_for_collisions():
  rng = np.random.default_rng(1)
  elsewhere = rng.uniform(-1, 1, (400, 3)) + np.array([0, 0, 9.0])
  state = write(GRID, GRID.init(jnp.eye(4)), scattered(elsewhere))
  after, erased = GRID.forget_region(state, Sphere((0, 0, 0), 0.5))
  changed = as_float(state.geometry) != as_float(after.geometry)
  assert changed.any(-1).sum() == erased.rows == erased.elsewhere


@pytest.mark.parametrize(
  'region, message',
  [
    (Box((0, 0, 0), (1, 0, 1)), 'empty'),
    (Sphere((0, 0, 0), 0.0), 'empty'),
    (Sphere((0, 0, 0), 1e3), 'smaller parts'),
  ],
)
def test_regions_without_sense_are_refused(region, message):
  with pytest.raises(ValueError, match=message):
    GRID.forget_region(GRID.init(jnp.eye(4)), region)
