import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mirage_jax.evaluation.baselines import rollouts
from mirage_jax.geometry.clips import Clip, take_frames

SIZE = 32


def pan(yaws_deg):
  """A camera that turns inside a painted sphere of 4 m; batch of one."""
  yaw = np.deg2rad(np.asarray(yaws_deg, np.float64))
  t = len(yaw)
  pose = np.tile(np.eye(4), (t, 1, 1))
  pose[:, 0, 0] = pose[:, 2, 2] = np.cos(yaw)
  pose[:, 0, 2], pose[:, 2, 0] = np.sin(yaw), -np.sin(yaw)
  u = ((np.arange(SIZE) + 0.5) / SIZE - 0.5) / 0.5
  x, y = np.meshgrid(u, u, indexing='xy')
  local = np.stack([x, y, np.ones_like(x)], -1)
  depth = 4.0 / np.linalg.norm(local, axis=-1)
  world = np.einsum('tij,hwj->thwi', pose[:, :3, :3], local * depth[..., None])
  colour = 127 + 100 * np.sin(world[..., [0, 2, 1]] * [1.5, 1.2, 0.9])
  return Clip(
    rgb=colour.round().astype(np.uint8)[None],
    depth_m=np.tile(depth, (1, t, 1, 1)).astype(np.float32),
    intrinsics=np.full((1, t, 4), 0.5, np.float32),
    world_from_camera=pose[None].astype(np.float32),
    time_s=np.arange(t, dtype=np.float32)[None],
  )


def error(rollout, clip, observed):
  truth = take_frames(clip, slice(observed, None), axis=1).rgb
  difference = np.asarray(rollout.clip.rgb, float) - np.asarray(truth, float)
  return np.abs(difference).mean((0, 2, 3, 4))


CLIP = pan([0, 10, 20, 90, 180, 90, 20, 8])


def test_the_oracle_returns_what_was_seen_and_nothing_else():
  found = error(rollouts.oracle_memory(CLIP, 3), CLIP, 3)
  assert found[3] < 2.0  # the frame at 20 degrees was observed itself
  assert found[4] < 4.0  # 8 degrees: between two observed ones
  assert found[1] > 20.0  # 180 degrees: nobody saw it


def test_the_nearest_frame_is_exact_only_where_the_camera_stood():
  found = error(rollouts.copy_nearest_frame(CLIP, 3), CLIP, 3)
  assert found[3] == 0 and found[4] > 1


def test_a_frozen_video_is_the_last_observed_frame():
  rollout = rollouts.frozen_video(CLIP, 3)
  assert rollout.clip.rgb.shape == (1, 5, SIZE, SIZE, 3)
  for t in range(5):
    np.testing.assert_array_equal(rollout.clip.rgb[0, t], CLIP.rgb[0, 2])


def test_pose_distance_is_a_metric_of_turning_and_walking():
  cameras = jax.tree.map(lambda x: jnp.asarray(x)[0], CLIP).cameras
  found = rollouts.pose_distance(cameras, cameras)
  np.testing.assert_allclose(jnp.diagonal(found), 0, atol=5e-3)
  np.testing.assert_allclose(found, found.T, atol=5e-3)
  np.testing.assert_allclose(found[0, 3], np.pi, atol=1e-3)
  moved = cameras.replace(
    world_from_camera=cameras.world_from_camera.at[:, 0, 3].add(3.0)
  )
  distance = rollouts.pose_distance(cameras, moved)
  np.testing.assert_allclose(jnp.diagonal(distance), 3.0, atol=5e-3)


def test_warping_a_frame_into_its_own_view_changes_nothing():
  one = jax.tree.map(lambda x: jnp.asarray(x)[0, :2], CLIP)
  choice = jnp.zeros((2, SIZE, SIZE), jnp.int32).at[1].set(1)
  warped = rollouts.warp_frames(one, one, choice)
  np.testing.assert_allclose(warped, one.rgb.astype(float), atol=0.1)


@pytest.mark.parametrize('name', rollouts.BASELINES)
def test_nothing_left_to_show_is_refused(name):
  with pytest.raises(ValueError, match='expected 1 to 7'):
    rollouts.BASELINES[name](CLIP, 8)
