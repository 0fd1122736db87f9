import jax.numpy as jnp
import numpy as np

from mirage_jax.geometry import paths
from mirage_jax.geometry.cameras import Cameras, project

START = Cameras(
  jnp.array([0.6, 0.6, 0.5, 0.5]),
  jnp.array([[0.0, 0, 1, 3], [0, 1.0, 0, -1], [-1.0, 0, 0, 2], [0, 0, 0, 1]]),
)


def rotations(cameras):
  return cameras.world_from_camera[:, :3, :3]


def test_every_path_is_rigid_and_keeps_the_lens():
  for cameras in (
    paths.pan(START, 8),
    paths.orbit(START, 8, 2.0),
    paths.follow(START, paths.pan(START, 8).world_from_camera),
  ):
    product = jnp.einsum('tij,tkj->tik', rotations(cameras), rotations(cameras))
    np.testing.assert_allclose(
      product, np.tile(np.eye(3), (8, 1, 1)), atol=1e-5
    )
    np.testing.assert_allclose(
      cameras.intrinsics, np.tile(START.intrinsics, (8, 1))
    )


def test_a_full_turn_and_an_orbit_end_where_they_began():
  for cameras in (paths.pan(START, 12), paths.orbit(START, 12, 2.0)):
    np.testing.assert_allclose(
      cameras.world_from_camera[-1], START.world_from_camera, atol=1e-5
    )


def test_a_pan_stays_on_the_spot_and_turns_to_the_right():
  cameras = paths.pan(START, 4)
  position = cameras.world_from_camera[:, :3, 3]
  np.testing.assert_allclose(position, np.tile(position[:1], (4, 1)), atol=1e-5)
  # After a quarter turn the old right is ahead.
  right = START.world_from_camera[:3, 0]
  np.testing.assert_allclose(
    cameras.world_from_camera[0, :3, 2], right, atol=1e-5
  )


def test_an_orbit_looks_at_its_point_from_an_equal_distance():
  point = START.world_from_camera @ jnp.array([0, 0, 2.0, 1])
  cameras = paths.orbit(START, 8, 2.0)
  uv, z = project(cameras, jnp.broadcast_to(point[:3], (8, 1, 3)))
  np.testing.assert_allclose(uv, 0.5, atol=1e-5)
  np.testing.assert_allclose(z, 2.0, atol=1e-5)
  assert float(jnp.ptp(cameras.world_from_camera[:, 2, 3])) > 0.5


def test_following_a_path_from_its_own_start_is_that_path():
  poses = paths.orbit(START, 8, 2.0).world_from_camera
  again = paths.follow(START.replace(world_from_camera=poses[0]), poses)
  np.testing.assert_allclose(again.world_from_camera, poses, atol=1e-5)


def test_joined_paths_follow_each_other():
  both = paths.joined(paths.pan(START, 3), paths.orbit(START, 2, 1.0))
  assert both.intrinsics.shape == (5, 4)
