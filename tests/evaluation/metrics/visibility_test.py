import chex
import jax
import jax.numpy as jnp
import numpy as np

from mirage_jax.evaluation.metrics import visibility
from mirage_jax.geometry.clips import Clip

SIZE = 16


def wall_clip(yaws_deg, distance=4.0, block=()):
  """Cameras at the origin looking at a round wall; `block`: frames whose view
  is covered by a board at 1 m."""
  yaw = np.deg2rad(np.asarray(yaws_deg, np.float32))
  t = len(yaw)
  pose = np.tile(np.eye(4, dtype=np.float32), (t, 1, 1))
  pose[:, 0, 0] = pose[:, 2, 2] = np.cos(yaw)
  pose[:, 0, 2], pose[:, 2, 0] = np.sin(yaw), -np.sin(yaw)
  # Focal 0.5: 90 degrees. A sphere round the camera: z = d / |ray|.
  u = (np.arange(SIZE) + 0.5) / SIZE
  x, y = np.meshgrid((u - 0.5) / 0.5, (u - 0.5) / 0.5, indexing='xy')
  depth = np.tile(distance / np.sqrt(1 + x**2 + y**2), (t, 1, 1))
  depth[list(block)] = 1.0
  return Clip(
    rgb=jnp.zeros((t, SIZE, SIZE, 3), jnp.uint8),
    depth_m=jnp.asarray(depth, jnp.float32),
    intrinsics=jnp.tile(jnp.array([0.5, 0.5, 0.5, 0.5]), (t, 1)),
    world_from_camera=jnp.asarray(pose),
    time_s=jnp.arange(t, dtype=jnp.float32),
  )


def test_a_frame_sees_itself_wholly():
  clip = wall_clip([0, 45])
  seen = visibility.visibility(clip, clip)
  assert bool(seen.strict[0, 0].all()) and bool(seen.strict[1, 1].all())


def test_strict_implies_lenient():
  clip = wall_clip([0, 10, 30, 80], block=(2,))
  seen = visibility.visibility(clip, clip)
  assert bool((~seen.strict | seen.lenient).all())


def test_half_a_turned_view_is_shared_and_an_opposite_one_is_not():
  clip = wall_clip([0, 45, 180])
  seen = visibility.visibility(clip, clip).strict
  assert 0.25 < float(seen[1, 0].mean()) < 0.6
  assert float(seen[2, 0].mean()) == 0
  # Turned to the right, the shared half is the left one.
  assert float(seen[1, 0, :, : SIZE // 4].mean()) > 0.7
  assert float(seen[1, 0, :, 3 * SIZE // 4 :].mean()) == 0


def test_what_stands_before_hides_what_is_behind():
  clip = wall_clip([0, 0], block=(1,))
  seen = visibility.visibility(clip, clip)
  assert float(seen.lenient[0, 1].mean()) == 0


def test_movers_and_sky_are_never_seen():
  clip = wall_clip([0, 0])
  dynamic = jnp.zeros(clip.depth_m.shape, bool).at[:, :, :4].set(True)
  depth = clip.depth_m.at[:, 0].set(0.0)
  clip = clip.replace(dynamic=dynamic, depth_m=depth)
  seen = visibility.visibility(clip, clip).lenient[0, 1]
  assert not bool(seen[0].any()) and not bool(seen[:, :4].any())
  assert bool(seen[1:, 4:].all())


def test_leaving_and_coming_back_returns_everything():
  yaws = [0, 0, 60, 120, 180, 180, 120, 120, 0, 0]
  clip = wall_clip(yaws)
  window = visibility.window_frames(10, observed=2, context=2, target=2)
  found = visibility.find_returned(clip, window, 2)
  share = found.mask.mean((1, 2))
  assert float(share[0]) == 0  # frame 2: what it shares is in the window
  assert float(share[6]) == 1  # frame 8 is home
  # Frame 8 is yaw 0: its middle was last seen in frame 1.
  assert int(found.age[6, SIZE // 2, SIZE // 2]) == 7
  # Frames 6, 7 are places that were only generated, long ago enough.
  assert float(found.own[4].mean()) > 0.3
  assert not bool((found.mask & found.own).any())
  assert bool(found.fresh[1].any()) and not bool(found.fresh[6].any())


def test_a_camera_that_stays_returns_nothing():
  clip = wall_clip([0] * 8)
  window = visibility.window_frames(8, observed=2, context=2, target=2)
  found = visibility.find_returned(clip, window, 2)
  assert not bool(found.mask.any()) and not bool(found.own.any())


def test_the_window_is_the_frames_before_the_chunk():
  window = np.asarray(visibility.window_frames(8, 4, context=2, target=2))
  expected = np.zeros((4, 8), bool)
  expected[:2, 2:4] = True
  expected[2:, 4:6] = True
  np.testing.assert_array_equal(window, expected)


def test_a_batch_is_its_episodes_one_by_one():
  clips = [wall_clip([0, 0, 90, 180, 90, 0]), wall_clip([0, 5, 9, 5, 0, 0])]
  window = visibility.window_frames(6, 2, context=1, target=1)
  batch = jax.tree.map(lambda *x: jnp.stack(x), *clips)
  found = visibility.find_returned_batch(batch, window, 2)
  one = visibility.find_returned(clips[1], window, 2)
  chex.assert_trees_all_equal(jax.tree.map(lambda x: x[1], found), one)
