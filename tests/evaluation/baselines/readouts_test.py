import jax.numpy as jnp
import numpy as np
import pytest

from mirage_jax.evaluation.baselines import readouts
from mirage_jax.geometry.clips import Clip


def make_clip(frames=3, height=6, width=8, holes=0.2, seed=0):
  """A wall at 1 to 3 metres seen from cameras that step sideways."""
  rng = np.random.default_rng(seed)
  poses = np.tile(np.eye(4, dtype=np.float32), (frames, 1, 1))
  poses[:, 0, 3] = np.arange(frames)
  shape = (frames, height, width)
  depth_m = rng.uniform(1, 3, shape).astype(np.float32)
  return Clip(
    rgb=rng.integers(0, 256, (*shape, 3)).astype(np.uint8),
    depth_m=np.where(rng.uniform(size=shape) < holes, 0, depth_m),
    intrinsics=np.tile(np.float32([1.0, 1.3, 0.5, 0.5]), (frames, 1)),
    world_from_camera=poses,
    time_s=np.arange(frames, dtype=np.float32),
  )


@pytest.mark.parametrize(
  'reference', [readouts.nearest_warp, readouts.point_cloud]
)
def test_a_written_view_reads_back_as_itself(reference):
  clip = make_clip(frames=1)
  readout, size = reference(clip, clip.cameras, 6, 8)
  known = clip.depth_m > 0
  np.testing.assert_array_equal(readout.opacity > 0.5, known)
  np.testing.assert_allclose(readout.depth_m, clip.depth_m, rtol=1e-5)
  rgb = np.asarray(readout.rgb[known]) * 127.5 + 127.5
  np.testing.assert_allclose(rgb, clip.rgb[known], atol=0.01)
  assert size > 0


def test_the_cloud_grows_by_its_points():
  clip = make_clip()
  _, size = readouts.point_cloud(clip, clip.cameras, 6, 8)
  assert size == 24 * (clip.depth_m > 0).sum()


def test_the_nearest_point_of_a_pixel_wins():
  clip = make_clip(frames=1)
  camera = readouts.one_camera(clip.cameras, 0)
  points = jnp.array([[0.01, 0.01, 3.0], [0.01, 0.01, 2.0]])
  view = readouts.splat(
    points,
    jnp.array([[1.0] * 3, [-1.0] * 3]),
    camera,
    jnp.ones(2, bool),
    2,
    2,
  )
  np.testing.assert_allclose(view.depth_m.max(), 2.0)
  np.testing.assert_allclose(view.rgb[view.opacity > 0], -1.0)


def test_movers_and_sky_are_no_static_depth():
  clip = make_clip(holes=0)
  mask = np.zeros(clip.depth_m.shape, bool)
  moved, sky = mask.copy(), mask.copy()
  moved[0, 0, 0] = sky[0, 0, 1] = True
  depth_m = readouts.static_depth(clip.replace(dynamic=moved, sky=sky))
  np.testing.assert_array_equal(depth_m == 0, moved | sky)


def test_nearest_pose_is_the_same_pose():
  clip = make_clip()
  for i in range(3):
    camera = readouts.one_camera(clip.cameras, i)
    distance = readouts.pose_distance(
      clip.world_from_camera, camera.world_from_camera
    )
    assert distance.argmin() == i
    assert distance[i] < 1e-3
