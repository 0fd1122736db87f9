"""Laws of the hash grid: section 4 of the design."""

import dataclasses
import functools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mirage_jax.geometry.cameras import Cameras
from mirage_jax.memory.contract import Observed, Views
from mirage_jax.memory.hash_grid import table
from mirage_jax.memory.hash_grid.grid import HashGrid
from mirage_jax.memory.tables import accumulators
from mirage_jax.memory.tables.sums import as_float

SIZE = 16
FLOAT = HashGrid(
  cell_m=(0.4, 0.1),
  entries=(2**13, 2**14),
  free_entries=(2**14,),
  sharp_m=0.1,
  steps=32,
  far_m=6.0,
)
EXACT = dataclasses.replace(FLOAT, exact=True)
FEATURES = dataclasses.replace(FLOAT, features=5)
FAR = dataclasses.replace(EXACT, radius_m=3.0, extent_m=5.0)


def view(x=0.0, turn=0.0):
  """A camera at x that looks along z, turned about y."""
  c, s = np.cos(turn), np.sin(turn)
  pose = np.array([[c, 0, s, x], [0, 1, 0, 0], [-s, 0, c, 0], [0, 0, 0, 1]])
  return Cameras(
    jnp.array([[0.7, 0.7, 0.5, 0.5]]), jnp.asarray(pose[None], jnp.float32)
  )


def wall(depth=2.0, size=SIZE):
  """A depth image of a wall."""
  return jnp.full((1, size, size), depth)


def observe(memory, cameras, depth, seed=0, colour=None, generated=False):
  """An observation of one image with random or constant colours."""
  shape = (*depth.shape, memory.features)
  features = jax.random.uniform(jax.random.key(seed), shape) * 2 - 1
  if colour is not None:
    features = jnp.broadcast_to(jnp.asarray(colour, jnp.float32), shape)
  observed = Observed.still(
    cameras, depth, features, jnp.ones(depth.shape), generated
  )
  return memory.observe(memory.init(jnp.eye(4)), observed)


def random_observation(memory, seed):
  """A view of random depths from a random place."""
  rng = np.random.default_rng(seed)
  depth = jnp.asarray(rng.uniform(0.5, 4.0, (1, SIZE, SIZE)), jnp.float32)
  return observe(
    memory, view(rng.uniform(-1, 1), rng.uniform(-3, 3)), depth, seed
  )


write = jax.jit(HashGrid.write, static_argnums=0)
forget = jax.jit(HashGrid.forget, static_argnums=0)


@functools.partial(jax.jit, static_argnums=0)
def read(memory, state, cameras):
  """The views of SIZE x SIZE pixels."""
  return memory.read(state, Views.still(cameras, SIZE, SIZE))


def written(memory, *observations):
  state = memory.init(jnp.eye(4))
  for observation in observations:
    state = write(memory, state, observation)
  return state


def test_writes_are_local():
  depth = wall().at[:, 1:].set(0).at[:, :, 1:].set(0)
  observation = observe(FLOAT, view(), depth)
  state = written(FLOAT, observation)
  for level in FLOAT.levels:
    rows = state.geometry[level.first : level.first + level.entries, 3]
    assert (rows > 0).sum() == 1


@pytest.mark.parametrize('memory', [FLOAT, EXACT, FAR])
def test_constant_colour_reads_back(memory):
  colour = (0.6, -0.2, 0.2)
  state = written(memory, observe(memory, view(), wall(), colour=colour))
  readout = read(memory, state, view())
  seen = np.asarray(readout.opacity > 0.5)
  assert seen.mean() > 0.9
  error = np.abs(np.asarray(readout.rgb) - np.array(colour))[seen]
  assert error.max() < 0.01
  assert np.abs(np.asarray(readout.depth_m) - 2.0)[seen].max() < 0.1


def test_free_space_removes_what_has_vanished():
  thing = wall(3.0).at[:, 4:12, 4:12].set(1.5)
  before = [observe(EXACT, view(), thing)] * 20
  after = [observe(EXACT, view(), wall(3.0))] * 3
  state = EXACT.advance(written(EXACT, *before))
  for observation in after:
    state = write(EXACT, state, observation)
  depth = read(EXACT, state, view()).depth_m[0, 6:10, 6:10]
  assert np.median(depth) > 2.7
  never_moved_on = written(EXACT, *before, *after)
  depth = read(EXACT, never_moved_on, view()).depth_m
  assert np.median(depth[0, 6:10, 6:10]) < 2.0


def test_advancing_changes_no_sum_of_surfaces():
  state = written(EXACT, random_observation(EXACT, 1))
  later = EXACT.advance(state)
  chex.assert_trees_all_equal(state.geometry, later.geometry)
  assert not np.asarray(later.occupied.low[:, 0]).any()


def test_generated_counts_less_and_apart():
  state = EXACT.init(jnp.eye(4))
  cameras, depth = view(), wall()
  args = (cameras, depth, jnp.ones((*depth.shape, 3)), jnp.ones(depth.shape))
  true, made_up = Observed.still(*args), Observed.still(*args, generated=True)
  seen = EXACT.observe(state, true)
  made = EXACT.observe(state, made_up)
  known = EXACT.observe(write(EXACT, state, seen), made_up)
  assert made.weight.sum() < seen.weight.sum()
  assert known.weight.sum() < 0.5 * made.weight.sum()
  assert made.free_weight.sum() < seen.free_weight.sum()
  columns = as_float(write(EXACT, state, made).occupied)
  np.testing.assert_array_equal(columns, np.repeat(columns[:, :1], 3, 1))
  sure = read(EXACT, write(EXACT, state, seen), cameras)
  unsure = read(EXACT, write(EXACT, state, made), cameras)
  assert unsure.confidence.mean() < sure.confidence.mean()


def test_exact_and_float_read_alike():
  readouts = [
    read(m, written(m, observe(m, view(), wall())), view(0.1))
    for m in (FLOAT, EXACT)
  ]
  chex.assert_trees_all_close(*readouts, atol=0.02)


def test_gradients_reach_the_features_only():
  depth = wall()

  def shown(features, depth):
    weight = jnp.ones(depth.shape)
    state = FEATURES.init(jnp.eye(4))
    observed = Observed.still(view(), depth, features, weight)
    observation = FEATURES.observe(state, observed)
    state = FEATURES.write(state, observation)
    readout = FEATURES.read(state, Views.still(view(), SIZE, SIZE))
    return (
      readout.features.sum()
      + readout.depth_m.sum()
      + readout.opacity.sum()
      + readout.confidence.sum()
    )

  features = jnp.ones((1, SIZE, SIZE, 5)) * 0.5
  of_features, of_depth = jax.jit(jax.grad(shown, (0, 1)))(features, depth)
  assert np.isfinite(of_features).all() and (of_features != 0).mean() > 0.5
  assert not of_depth.any()


def test_no_depth_or_no_weight_is_not_written():
  empty = EXACT.init(jnp.eye(4))
  none = observe(EXACT, view(), jnp.zeros((1, SIZE, SIZE)))
  chex.assert_trees_all_equal(write(EXACT, empty, none), empty)
  depth = wall()
  ones = jnp.ones((*depth.shape, 3))
  observed = Observed.still(view(), depth, ones, jnp.zeros(depth.shape))
  dynamic = EXACT.observe(empty, observed)
  chex.assert_trees_all_equal(write(EXACT, empty, dynamic), empty)


def test_a_batch_of_scenes_is_each_scene():
  observations = [random_observation(FLOAT, i) for i in range(2)]
  batch = jax.tree.map(lambda *x: jnp.stack(x), *observations)
  empty = jax.vmap(FLOAT.init)(jnp.stack([jnp.eye(4)] * 2))
  states = jax.vmap(FLOAT.write)(empty, batch)
  for i, observation in enumerate(observations):
    chex.assert_trees_all_close(
      jax.tree.map(lambda x, i=i: x[i], states),
      written(FLOAT, observation),
      rtol=1e-5,
    )


def test_what_is_far_is_kept_by_the_contracted_level_alone():
  observation = observe(FAR, view(), wall(60.0))
  state = written(FAR, observation)
  weight = table.total_weight(FAR, state)
  first, second = FAR.levels
  assert weight[: first.entries].sum() == observation.weight.sum()
  assert not weight[second.first :].any()


def test_capacity_holds_100_000_frames():
  rays = (120 // EXACT.free_stride) * (180 // EXACT.free_stride)
  frames = table.frame_capacity(120 * 180, rays * EXACT.free_samples)
  assert frames >= 10**5


def test_overflow_is_never_silent():
  state = EXACT.init(jnp.eye(4))
  high = jnp.full_like(state.geometry.high, 2**15 - 1)
  low = jnp.full_like(state.geometry.low, 2**32 - 1)
  state = state.replace(geometry=accumulators.Wide(low, high))
  state = write(EXACT, state, observe(EXACT, view(), wall()))
  assert state.overflow
  with pytest.raises(ValueError, match='left its range'):
    EXACT.read(state, Views.still(view(), SIZE, SIZE))
  assert np.isnan(read(EXACT, state, view()).opacity).all()
  other = EXACT.merge(EXACT.init(jnp.eye(4)), state)
  assert other.overflow


def test_merge_refuses_strangers():
  state = EXACT.init(jnp.eye(4))
  with pytest.raises(ValueError, match='different scene frames'):
    EXACT.merge(state, EXACT.init(jnp.eye(4).at[0, 3].set(1)))
  with pytest.raises(ValueError, match='layouts'):
    EXACT.merge(state, FLOAT.init(jnp.eye(4)))


@pytest.mark.parametrize(
  'change, message',
  [
    ({'cell_m': (0.1,)}, 'one of each'),
    ({'cell_m': (0.1, 0.4)}, 'coarse to fine'),
    ({'entries': (100, 100)}, 'power of two'),
    ({'evidence_levels': 3, 'free_entries': (8,) * 3}, 'evidence_levels'),
    ({'free_entries': (8, 8)}, 'free_entries'),
    ({'features': 2}, 'rgb'),
  ],
)
def test_wrong_configurations_are_refused(change, message):
  with pytest.raises(ValueError, match=message):
    dataclasses.replace(FLOAT, **change)


def test_images_that_do_not_belong_together_are_refused():
  state, depth = FLOAT.init(jnp.eye(4)), wall()
  ones = jnp.ones((1, SIZE, SIZE, 3))
  two = jax.tree.map(lambda x: jnp.concatenate([x, x]), view())
  with pytest.raises(ValueError, match='one camera a frame'):
    FLOAT.observe(state, Observed.still(two, depth, ones, depth))
  with pytest.raises(ValueError, match='features are'):
    four = ones[..., :1].repeat(4, -1)
    FLOAT.observe(state, Observed.still(view(), depth, four, depth))


def test_load_is_the_share_of_rows_in_use():
  observation = observe(FLOAT, view(), wall())
  load = FLOAT.load_factor(written(FLOAT, observation))
  rows = np.unique(
    np.asarray(observation.points) // FLOAT.levels[1].units, axis=0
  )
  assert load.shape == (2,)
  np.testing.assert_allclose(load[1], len(rows) / 2**14, rtol=0.05)
  assert not FLOAT.load_factor(FLOAT.init(jnp.eye(4))).any()
