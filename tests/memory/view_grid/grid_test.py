import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mirage_jax.geometry.cameras import Cameras
from mirage_jax.memory.contract import Observed, Views
from mirage_jax.memory.laws import make_observed
from mirage_jax.memory.regions import Box, Sphere
from mirage_jax.memory.tables.sums import as_float
from mirage_jax.memory.view_grid import erasure, peeling, table
from mirage_jax.memory.view_grid import keys as view_bins
from mirage_jax.memory.view_grid.grid import ViewGrid
from mirage_jax.memory.view_grid.table import RECENT

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
  observe = jax.jit(grid.observe)
  read = jax.jit(
    lambda state, cameras: grid.read(state, Views.still(cameras, HEIGHT, WIDTH))
  )
  return observe, jax.jit(grid.write), jax.jit(grid.forget), read


def observe(grid, seed, **kwargs):
  return compiled(grid)[0](grid.init(jnp.eye(4)), make_observed(seed, **kwargs))


def written(grid, *seeds):
  state = grid.init(jnp.eye(4))
  for seed in seeds:
    state = compiled(grid)[1](state, observe(grid, seed))
  return state


def assert_same(first, second):
  for a, b in zip(jax.tree.leaves(first), jax.tree.leaves(second), strict=True):
    np.testing.assert_array_equal(a, b)


def test_bytes_do_not_depend_on_what_was_written():
  empty = GRID.init(jnp.eye(4))
  assert GRID.num_bytes(empty) == GRID.num_bytes(written(GRID, 1, 2))
  assert (np.asarray(GRID.load_factor(empty)) == 0).all()
  assert (np.asarray(GRID.load_factor(written(GRID, 1))) > 0).all()


def test_a_write_touches_at_most_eight_rows_a_point():
  observation = observe(GRID, 1)
  assert GRID.choices <= 8
  state = GRID.write(GRID.init(jnp.eye(4)), observation)
  rows = (as_float(state.entries)[:, 0] > 0).sum()
  assert rows <= GRID.choices * (observation.weight > 0).sum()


@pytest.mark.parametrize('exact', [True, False])
def test_a_written_view_reads_back(exact):
  grid = dataclasses.replace(GRID, bin_rad=0.02, exact=exact)
  observe, write, _, read = compiled(grid)
  observed = make_observed()
  cameras, depth_m = observed.cameras, observed.depth_m
  features = observed.features
  state = grid.init(cameras.world_from_camera[0])
  state = write(state, observe(state, observed))
  view = read(state, cameras)
  assert (view.opacity > 0.5).mean() > 0.99
  error = np.abs(view.depth_m - depth_m) / depth_m
  assert np.median(error) < 0.02
  assert np.median(np.abs(view.rgb - features)) < 0.05


@pytest.mark.parametrize('exact', [True, False])
@pytest.mark.parametrize('depth_m', [30.0, 200.0, 5000.0])
def test_far_walls_read_back(exact, depth_m):
  grid = dataclasses.replace(GRID, exact=exact)
  observe, write, _, read = compiled(grid)
  seen = wall_seen(depth_m, 0.5)
  state = grid.init(jnp.eye(4))
  view = read(write(state, observe(state, seen)), seen.cameras)
  assert (view.opacity > 0.5).all()
  np.testing.assert_allclose(view.depth_m, depth_m, rtol=0.05)
  np.testing.assert_allclose(view.rgb, 0.5, atol=0.01)


def test_writes_larger_than_a_word_are_exact():
  """So many points fall into one row that their sum leaves 32 bits."""
  point = jax.tree.map(lambda x: x[:1], observe(GRID, 1))
  count = 2**31 // (view_bins.WEIGHTS * view_bins.largest(GRID)) + 5
  content = jnp.full_like(point.content, view_bins.largest(GRID) - 1)
  point = point.replace(content=content, weight=point.weight * 0 + 4)
  many = jax.tree.map(
    lambda x: jnp.broadcast_to(x, (count, *x.shape[1:])), point
  )
  many = many.replace(
    view_slot=point.view_slot, view_content=point.view_content
  )
  state = GRID.write(GRID.init(jnp.eye(4)), many)
  row = int(view_bins.rows_of(GRID, point.key, 0)[0])
  low, high = (
    np.asarray(x)[row].astype(np.int64)
    for x in (state.entries.low, state.entries.high)
  )
  assert not state.overflow
  assert (high << 32)[2] + low[2] == 4 * count * (view_bins.largest(GRID) - 1)


def test_peeling_gets_back_what_shares_rows():
  """Three entries to four rows of which each is in three: all told apart."""
  grid = dataclasses.replace(GRID, entries=3 * 640, rounds=24)
  seeds = range(6)
  state = written(grid, *seeds)
  keys = np.unique(
    np.concatenate([np.asarray(observe(grid, s).key) for s in seeds])
  )
  views = table.view_cells(grid, state)
  held = peeling.surfels(grid, state, views).held.sum()
  alone = peeling._alone(
    grid, views, as_float(state.entries), jnp.arange(grid.entries)
  )
  assert len(keys) > grid.entries / 2
  assert alone[0].sum() < 0.9 * len(keys)
  assert held >= 0.98 * len(keys)


def test_nearer_views_come_first():
  """Cameras see one wall in two colours; each reads back its own."""
  poses = np.tile(np.eye(4, dtype=np.float32), (3, 1, 1))
  poses[1, 0, 3] = 1.0
  cameras = make_observed().cameras.replace(
    intrinsics=jnp.tile(jnp.array([1, 1.25, 0.5, 0.5]), (3, 1)),
    world_from_camera=jnp.asarray(poses),
  )
  depth_m = np.full((3, HEIGHT, WIDTH), 2, np.float32)
  features = np.ones((3, HEIGHT, WIDTH, 3), np.float32)
  features[1] = -1
  observe, write, _, read = compiled(GRID)
  state = GRID.init(jnp.eye(4))
  observed = Observed.still(cameras, depth_m, features, depth_m)
  state = write(state, observe(state, observed))
  view = read(state, cameras)
  assert view.rgb[0, 4, 5, 0] > 0.9 and view.rgb[1, 4, 5, 0] < -0.9


def test_generated_views_are_kept_apart():
  state = GRID.init(jnp.eye(4))
  seen, made = observe(GRID, 1), observe(GRID, 1, generated=True)
  assert not set(np.asarray(seen.key)) & set(np.asarray(made.key))
  views = table.view_cells(GRID, GRID.write(state, made))
  assert views.generated[views.held].all() and views.held.any()


def wall_seen(depth_m, grey):
  """A camera at the origin that looks at a grey wall."""
  cameras = Cameras(
    jnp.array([[1, 1.25, 0.5, 0.5]]), jnp.asarray(np.eye(4)[None], jnp.float32)
  )
  shape = (1, HEIGHT, WIDTH)
  ones = np.ones(shape, np.float32)
  rgb = np.full((*shape, 3), grey, np.float32)
  return Observed.still(cameras, depth_m * ones, rgb, ones)


@pytest.mark.parametrize('exact', [True, False])
def test_what_has_vanished_is_hidden_once_the_memory_advanced(exact):
  grid = dataclasses.replace(GRID, exact=exact)
  observe, write, _, read = compiled(grid)
  thing, wall = wall_seen(1.5, 0.5), wall_seen(3.0, -0.5)
  state = grid.init(jnp.eye(4))
  for _ in range(20):
    state = write(state, observe(state, thing))
  never_advanced = write(state, observe(state, wall))
  assert np.median(read(never_advanced, wall.cameras).depth_m) < 2
  state = grid.advance(state)
  assert np.median(read(state, wall.cameras).depth_m) < 2
  state = write(state, observe(state, wall))
  view = read(state, wall.cameras)
  assert np.median(view.depth_m) > 2.7 and np.median(view.rgb) < 0


def test_advancing_keeps_what_is_known():
  state = written(GRID, 1)
  later = GRID.advance(state)
  kept = [i for i in range(later.entries.low.shape[1]) if i != RECENT]
  np.testing.assert_array_equal(
    later.entries.low[:, kept], state.entries.low[:, kept]
  )
  assert not np.asarray(later.entries.low[:, RECENT]).any()


@pytest.mark.parametrize('exact', [True, False])
@pytest.mark.parametrize(
  'region', [Box((-2.0, -1.0, 0.5), (1.0, 0.5, 4.0)), Sphere((0, 0, 2), 1.0)]
)
def test_nothing_of_a_forgotten_region_is_left(exact, region):
  grid = dataclasses.replace(GRID, exact=exact)
  seeds, empty = range(4), grid.init(jnp.eye(4))
  state = written(grid, *seeds)
  after, erased = grid.forget_region(state, region)
  before, left = (surfels_of(grid, x) for x in (state, after))
  inside = np.asarray(region.meets(left.points, left.points))
  assert not (inside & np.asarray(left.held)).any()
  assert erased.elsewhere <= erased.rows
  assert 0 < erased.rows < before.held.sum()
  assert left.held.sum() == before.held.sum() - erased.rows
  everything = Sphere((0, 0, 0), 1e3)
  assert_same(grid.forget_region(state, everything)[0].entries, empty.entries)


def test_what_cannot_be_told_apart_goes_with_a_region():
  crowded = dataclasses.replace(GRID, entries=3 * 40)
  state = written(crowded, *range(6))
  after, erased = crowded.forget_region(state, Sphere((0, 0, 90), 1.0))
  assert erased.elsewhere > 50
  rows = as_float(after.entries)[:, 0]
  assert (rows > 0).sum() <= 3 * surfels_of(crowded, after).held.sum()


def test_a_region_without_volume_is_refused():
  with pytest.raises(ValueError, match='is empty'):
    GRID.forget_region(GRID.init(jnp.eye(4)), Box((0, 0, 0), (1, 0, 1)))


def test_a_memory_with_room_stays_as_it_is():
  state = written(GRID, 1)
  assert GRID.reserve(state, 240) is state


@pytest.mark.parametrize('exact', [True, False])
def test_making_room_keeps_whole_views_as_they_were(exact):
  """Views that stay are read as before, and there is room again."""
  grid = dataclasses.replace(GRID, entries=3 * 512, rounds=16, exact=exact)
  state = written(grid, *range(5))
  thinned = grid.reserve(state, 240)
  load = [float(grid.load_factor(x)[0]) for x in (state, thinned)]
  assert load[0] > 0.6 and load[1] < erasure.FULLEST - 240 / grid.entries
  before, after = (surfels_of(grid, x) for x in (state, thinned))
  slots = [np.asarray(x.slot)[np.asarray(x.held)] for x in (before, after)]
  views = [set(x.tolist()) for x in slots]
  assert 0 < len(views[1]) < len(views[0]) and views[1] < views[0]
  for slot in views[1]:
    assert (slots[0] == slot).sum() == (slots[1] == slot).sum()
  rows = lambda x, among: sorted(
    np.asarray(x.points)[np.asarray(x.held) & np.isin(x.slot, among)].tolist()
  )
  among = list(views[1])
  np.testing.assert_allclose(rows(before, among), rows(after, among), atol=1e-3)
  assert_same(thinned, grid.reserve(written(grid, *range(5)), 240))


def test_without_end_a_memory_goes_on_reading():
  """Far more is written than there are rows; the last views still read."""
  grid = dataclasses.replace(GRID, entries=3 * 512, bin_rad=0.02, rounds=16)
  observe, write, _, read = compiled(grid)
  state = grid.init(jnp.eye(4))
  for seed in range(30):
    seen = make_observed(seed)
    state = grid.reserve(state, seen.depth_m.size)
    state = write(state, observe(state, seen))
  view = read(state, seen.cameras)
  assert (view.opacity > 0.5).mean() > 0.97
  error = np.abs(view.depth_m - seen.depth_m) / seen.depth_m
  assert np.median(error) < 0.02


def surfels_of(grid, state):
  views = table.view_cells(grid, state)
  return peeling.surfels(grid, state, views)


def test_gradients_reach_the_features_of_crowded_tables():
  """Reading is linear in what was written: entries that shared rows, too."""
  grid = dataclasses.replace(GRID, entries=3 * 640, rounds=16, exact=False)
  state = grid.init(jnp.eye(4))
  for seed in range(5):
    state = grid.write(state, observe(grid, seed))
  observed = make_observed(7)
  features = observed.features
  views = Views.still(observed.cameras, HEIGHT, WIDTH)

  def shown(features):
    new = grid.observe(state, observed.replace(features=features))
    view = grid.read(grid.write(state, new), views)
    return (view.features * jnp.asarray(features)).sum()

  rng = np.random.default_rng(0)
  step = rng.uniform(-1, 1, features.shape).astype(np.float32)
  shown = jax.jit(shown)
  slope = (jax.jit(jax.grad(shown))(features) * step).sum()
  # Quadratic: a central difference is exact but for rounding.
  difference = (shown(features + step) - shown(features - step)) / 2
  np.testing.assert_allclose(slope, difference, rtol=1e-2)
  assert abs(difference) > 1


def test_overflow_is_never_silent():
  state = written(GRID, 1)
  full = jax.tree.map(
    lambda x: jnp.full_like(x, jnp.iinfo(x.dtype).max), state.entries
  )
  state = compiled(GRID)[1](state.replace(entries=full), observe(GRID, 2))
  assert state.overflow
  assert np.isnan(
    compiled(GRID)[3](state, make_observed().cameras).opacity
  ).all()
  assert GRID.merge(GRID.init(jnp.eye(4)), state).overflow


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
