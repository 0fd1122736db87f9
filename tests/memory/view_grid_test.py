import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mirage_jax.geometry.cameras import Cameras
from mirage_jax.memory import view_peeling, view_tables
from mirage_jax.memory.view_grid import ViewGrid

GRID = ViewGrid(
  entries=3 * 2**10,
  rounds=10,
  views=2**10,
  bin_rad=0.05,
  exact=True,
  visible=2**11,
  most_pixels=1,
)
HEIGHT, WIDTH = 8, 10


@functools.cache
def compiled(grid):
  """Jitted observe, write, forget and read of a grid."""
  observe = jax.jit(grid.observe, static_argnames='generated')
  read = jax.jit(
    lambda state, cameras: grid.read(state, cameras, HEIGHT, WIDTH)
  )
  return observe, jax.jit(grid.write), jax.jit(grid.forget), read


def make_views(seed=0, frames=3, height=HEIGHT, width=WIDTH):
  """Smooth walls from cameras that wander and turn."""
  rng = np.random.default_rng(seed)
  turn = rng.uniform(-3, 3, frames)
  poses = np.tile(np.eye(4, dtype=np.float32), (frames, 1, 1))
  poses[:, 0, 0] = poses[:, 2, 2] = np.cos(turn)
  poses[:, 0, 2] = np.sin(turn)
  poses[:, 2, 0] = -np.sin(turn)
  poses[:, :3, 3] = rng.uniform(-2, 2, (frames, 3))
  intrinsics = np.tile(np.float32([1, 1.25, 0.5, 0.5]), (frames, 1))
  slope = np.linspace(0, 1, width)
  depth_m = rng.uniform(1, 3, (frames, 1, 1)) + slope + np.zeros((height, 1))
  shape = (frames, height, width)
  features = rng.uniform(-1, 1, (frames, 1, 1, 3)) + np.zeros((*shape, 3))
  return (
    Cameras(jnp.asarray(intrinsics), jnp.asarray(poses)),
    depth_m.astype(np.float32),
    features.astype(np.float32),
    np.ones(shape, np.float32),
  )


def observe(grid, seed, **kwargs):
  return compiled(grid)[0](grid.init(jnp.eye(4)), *make_views(seed), **kwargs)


def written(grid, *seeds):
  state = grid.init(jnp.eye(4))
  for seed in seeds:
    state = compiled(grid)[1](state, observe(grid, seed))
  return state


def assert_same(first, second):
  for a, b in zip(jax.tree.leaves(first), jax.tree.leaves(second), strict=True):
    np.testing.assert_array_equal(a, b)


def test_order_and_merging_change_no_bit():
  both = written(GRID, 1, 2)
  assert_same(both, written(GRID, 2, 1))
  assert_same(both, GRID.merge(written(GRID, 1), written(GRID, 2)))


def test_forgetting_is_exact():
  both = written(GRID, 1, 2)
  assert_same(compiled(GRID)[2](both, observe(GRID, 2)), written(GRID, 1))


def test_bytes_do_not_depend_on_what_was_written():
  empty = GRID.init(jnp.eye(4))
  assert GRID.num_bytes(empty) == GRID.num_bytes(written(GRID, 1, 2))
  assert (np.asarray(GRID.load_factor(empty)) == 0).all()
  assert (np.asarray(GRID.load_factor(written(GRID, 1))) > 0).all()


def test_a_write_touches_at_most_eight_rows_a_point():
  observation = observe(GRID, 1)
  assert GRID.choices <= 8
  state = GRID.write(GRID.init(jnp.eye(4)), observation)
  rows = (view_tables.as_float(state.entries)[:, 0] > 0).sum()
  assert rows <= GRID.choices * (observation.weight > 0).sum()


@pytest.mark.parametrize('exact', [True, False])
def test_a_written_view_reads_back(exact):
  grid = dataclasses.replace(GRID, bin_rad=0.02, exact=exact)
  observe, write, _, read = compiled(grid)
  cameras, depth_m, features, weight = make_views()
  state = grid.init(cameras.world_from_camera[0])
  state = write(state, observe(state, cameras, depth_m, features, weight))
  view = read(state, cameras)
  assert (view.opacity > 0.5).mean() > 0.99
  error = np.abs(view.depth_m - depth_m) / depth_m
  assert np.median(error) < 0.02
  assert np.median(np.abs(view.rgb - features)) < 0.05


def test_nothing_is_known_where_nothing_was_written():
  view = compiled(GRID)[3](GRID.init(jnp.eye(4)), make_views()[0])
  for image in (view.opacity, view.confidence, view.depth_m):
    np.testing.assert_array_equal(image, 0)


def test_peeling_gets_back_what_shares_rows():
  """Three entries to four rows of which each is in three: all told apart."""
  grid = dataclasses.replace(GRID, entries=3 * 640, rounds=16)
  seeds = range(6)
  state = written(grid, *seeds)
  keys = np.unique(
    np.concatenate([np.asarray(observe(grid, s).key) for s in seeds])
  )
  views = view_tables.view_cells(grid, state)
  held = view_peeling.surfels(grid, state, views).held.sum()
  alone = view_peeling._alone(grid, views, view_tables.as_float(state.entries))
  assert len(keys) > grid.entries / 2
  assert alone[0].sum() < 0.9 * len(keys)
  assert held >= 0.98 * len(keys)


def test_nearer_views_come_first():
  """Cameras see one wall in two colours; each reads back its own."""
  poses = np.tile(np.eye(4, dtype=np.float32), (3, 1, 1))
  poses[1, 0, 3] = 1.0
  cameras = make_views()[0].replace(
    intrinsics=jnp.tile(jnp.array([1, 1.25, 0.5, 0.5]), (3, 1)),
    world_from_camera=jnp.asarray(poses),
  )
  depth_m = np.full((3, HEIGHT, WIDTH), 2, np.float32)
  features = np.ones((3, HEIGHT, WIDTH, 3), np.float32)
  features[1] = -1
  observe, write, _, read = compiled(GRID)
  state = GRID.init(jnp.eye(4))
  state = write(state, observe(state, cameras, depth_m, features, depth_m))
  view = read(state, cameras)
  assert view.rgb[0, 4, 5, 0] > 0.9 and view.rgb[1, 4, 5, 0] < -0.9


def test_generated_views_are_kept_apart():
  state = GRID.init(jnp.eye(4))
  seen, made = observe(GRID, 1), observe(GRID, 1, generated=True)
  assert not set(np.asarray(seen.key)) & set(np.asarray(made.key))
  views = view_tables.view_cells(GRID, GRID.write(state, made))
  assert views.generated[views.held].all() and views.held.any()


def test_states_that_cannot_be_added_are_refused():
  other = ViewGrid(entries=3 * 2**9, exact=True)
  with pytest.raises(ValueError, match='layouts'):
    GRID.merge(GRID.init(jnp.eye(4)), other.init(jnp.eye(4)))
  with pytest.raises(ValueError, match='scene frames'):
    GRID.merge(GRID.init(jnp.eye(4)), GRID.init(2 * jnp.eye(4)))


def test_configurations_that_make_no_grid_are_refused():
  with pytest.raises(ValueError, match='multiple of'):
    ViewGrid(entries=100)
  with pytest.raises(ValueError, match='at least 3'):
    ViewGrid(features=1)
