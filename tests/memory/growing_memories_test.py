"""Laws of memories that grow: the bank of frames, the cloud, the oracle."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mirage_jax.geometry.cameras import Cameras
from mirage_jax.memory.baselines.frame_bank import FrameBank
from mirage_jax.memory.baselines.oracle import Oracle
from mirage_jax.memory.baselines.point_cloud import PointCloud
from mirage_jax.memory.contract import Observed, Views
from mirage_jax.memory.laws import make_observed

HEIGHT, WIDTH = 8, 10
BANK = FrameBank(HEIGHT, WIDTH, frames=2, context_frames=1, capacity=8)
CLOUD = PointCloud(capacity=2**10)
EXACT_CLOUD = PointCloud(capacity=2**10, exact=True)
ORACLE = Oracle(HEIGHT, WIDTH, capacity=8)
MEMORIES = [BANK, CLOUD, EXACT_CLOUD, ORACLE]
FRAMES = 3


def observe(memory, seed, **kwargs):
  return memory.observe(memory.init(jnp.eye(4)), make_observed(seed, **kwargs))


def written(memory, *seeds):
  state = memory.init(jnp.eye(4))
  for seed in seeds:
    state = jax.jit(memory.write)(state, observe(memory, seed))
  return state


def read(memory, state, cameras):
  return memory.read(state, Views.still(cameras, HEIGHT, WIDTH))


def assert_same(first, second):
  for a, b in zip(jax.tree.leaves(first), jax.tree.leaves(second), strict=True):
    np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize('memory', MEMORIES)
def test_merging_is_writing_one_after_the_other(memory):
  merged = memory.merge(written(memory, 0), written(memory, 1))
  both = written(memory, 0, 1)
  assert merged.capacity == 2 * both.capacity
  room = memory.reserve(both, both.capacity * HEIGHT * WIDTH)
  assert int(merged.count) == int(both.count)
  cameras = make_observed(1).cameras
  assert_same(read(memory, merged, cameras), read(memory, room, cameras))


@pytest.mark.parametrize('memory', MEMORIES)
def test_room_is_made_by_doubling_and_changes_no_reading(memory):
  state = written(memory, 0)
  assert memory.reserve(state, 1) is state
  points = state.capacity * HEIGHT * WIDTH
  larger = memory.reserve(state, points)
  assert larger.capacity in {state.capacity * 2**i for i in range(1, 8)}
  assert memory.num_bytes(larger) > 1.9 * memory.num_bytes(state)
  cameras = make_observed().cameras
  assert_same(read(memory, larger, cameras), read(memory, state, cameras))
  np.testing.assert_allclose(
    memory.load_factor(larger)[0] * larger.capacity, state.count
  )


@pytest.mark.parametrize('memory', MEMORIES)
def test_what_finds_no_place_is_told(memory):
  small = type(memory)(**{**vars(memory), 'capacity': 2})
  state = small.init(jnp.eye(4))
  observation = small.observe(state, make_observed())
  assert not state.overflow and small.write(state, observation).overflow


@pytest.mark.parametrize('kind', [PointCloud, FrameBank, Oracle])
def test_capacities_are_powers_of_two(kind):
  more = {} if kind is PointCloud else {'height': 4, 'width': 4}
  with pytest.raises(ValueError, match='capacity is 12'):
    kind(capacity=12, **more).init(jnp.eye(4))


def test_a_cloud_has_colours():
  with pytest.raises(ValueError, match='features is 2'):
    PointCloud(features=2)


@pytest.mark.parametrize('memory', [CLOUD, EXACT_CLOUD])
def test_a_cloud_shows_its_own_views(memory):
  observed = make_observed(0, frames=1)
  cameras, depth_m = observed.cameras, observed.depth_m
  features = observed.features
  state = memory.init(cameras.world_from_camera[0])
  observed.weight[:, :2] = 0.0
  observation = memory.observe(state, observed)
  view = read(memory, memory.write(state, observation), cameras)
  assert view.opacity.mean() > 0.7 and not view.opacity[:, :2].any()
  known = np.asarray(view.opacity) > 0
  np.testing.assert_allclose(view.rgb[known], features[known], atol=0.005)
  np.testing.assert_allclose(view.depth_m[known], depth_m[known], rtol=1e-4)


def test_gradients_reach_the_features_of_a_cloud():
  observed = make_observed()

  def total(features):
    state = CLOUD.init(jnp.eye(4))
    seen = CLOUD.observe(state, observed.replace(features=features))
    state = CLOUD.write(state, seen)
    return read(CLOUD, state, observed.cameras).features.sum()

  assert np.abs(jax.grad(total)(jnp.asarray(observed.features))).max() > 0


def looking(*degrees):
  """Cameras at the origin that look so far to the right."""
  turn = np.deg2rad(np.array(degrees, np.float32))
  pose = np.tile(np.eye(4, dtype=np.float32), (len(turn), 1, 1))
  pose[:, 0, 0] = pose[:, 2, 2] = np.cos(turn)
  pose[:, 0, 2], pose[:, 2, 0] = np.sin(turn), -np.sin(turn)
  lens = np.tile(np.float32([1, 1, 0.5, 0.5]), (len(turn), 1))
  return Cameras(jnp.asarray(lens), jnp.asarray(pose))


def bank_of(bank, cameras):
  """Frames of one grey each, frame i of 10 i."""
  count = len(cameras.intrinsics)
  grey = (np.arange(count) * 10 / 127.5 - 1)[:, None, None, None]
  rgb = np.broadcast_to(grey, (count, HEIGHT, WIDTH, 3)).astype(np.float32)
  depth_m = np.full((count, HEIGHT, WIDTH), 2.0, np.float32)
  state = bank.init(jnp.eye(4))
  observed = Observed.still(cameras, depth_m, rgb, np.ones_like(depth_m))
  return bank.write(state, bank.observe(state, observed))


def retrieved_greys(bank, state, cameras):
  retrieved = read(bank, state, cameras).retrieved
  rgb = np.round((np.asarray(retrieved.rgb[:, 0, 0, 0]) + 1) * 127.5)
  return rgb.astype(int).tolist(), retrieved


def test_the_frames_that_saw_most_are_retrieved_first():
  state = bank_of(BANK, looking(180, 0, 25, 90, 180))
  greys, retrieved = retrieved_greys(BANK, state, looking(2, 4))
  assert greys == [10, 20]
  assert retrieved.present.tolist() == [1, 1]
  np.testing.assert_allclose(
    retrieved.cameras.world_from_camera, looking(0, 25).world_from_camera
  )


def test_the_next_frame_adds_what_the_first_does_not_show():
  state = bank_of(BANK, looking(-20, 0, 1, 180))
  greys, _ = retrieved_greys(BANK, state, looking(0, -30))
  assert sorted(greys) == [0, 20]


def test_the_window_is_not_retrieved():
  state = bank_of(BANK, looking(0, 90, 0))
  assert retrieved_greys(BANK, state, looking(0))[0] == [0, 10]


def test_places_without_a_frame_have_a_camera_nonetheless():
  state = bank_of(BANK, looking(30, 60))
  greys, retrieved = retrieved_greys(BANK, state, looking(0, 10))
  assert retrieved.present.tolist() == [1, 0]
  assert greys[1] == 128  # 0 in [-1, 1]
  np.testing.assert_array_equal(
    retrieved.cameras.world_from_camera[1], looking(0).world_from_camera[0]
  )


def test_a_bank_says_what_it_cannot_do():
  with pytest.raises(ValueError, match='frames is 9; expected 1 to 8'):
    FrameBank(HEIGHT, WIDTH, frames=9, capacity=8)
  state = BANK.init(jnp.eye(4))
  with pytest.raises(ValueError, match='keeps frames of 8 x 10'):
    BANK.observe(state, make_observed(height=4, width=6))


def test_an_oracle_knows_the_very_views_that_it_was_shown():
  observed = make_observed(0)
  cameras, depth_m = observed.cameras, observed.depth_m
  features = observed.features
  state = written(ORACLE, 1, 0)
  view = read(ORACLE, state, cameras)
  assert (np.asarray(view.confidence) == 1).all()
  np.testing.assert_allclose(view.rgb, features, atol=0.005)
  np.testing.assert_array_equal(view.depth_m, depth_m)
  moved = cameras.world_from_camera.at[:, 0, 3].add(0.01)
  near = read(ORACLE, state, cameras.replace(world_from_camera=moved))
  assert not np.any(near.opacity)
  with pytest.raises(ValueError, match='asked for 4 x 4'):
    ORACLE.read(state, Views.still(cameras, 4, 4))


def test_an_oracle_keeps_nothing_that_was_made_up():
  state = ORACLE.init(jnp.eye(4))
  assert_same(ORACLE.write(state, observe(ORACLE, 0, generated=True)), state)


def test_an_oracle_asked_where_it_was_twice_tells_of_the_last_time():
  observed = make_observed(0)
  features = observed.features

  def shown(*looks):
    state = ORACLE.init(jnp.eye(4))
    for look in looks:
      seen = ORACLE.observe(state, observed.replace(features=look))
      state = ORACLE.write(state, seen)
    return read(ORACLE, state, observed.cameras)

  assert_same(shown(features, -features), shown(-features))
