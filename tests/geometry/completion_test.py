import numpy as np

from mirage_jax.geometry.completion import complete_depth


def test_measured_depth_stays_and_holes_are_filled():
  rng = np.random.default_rng(0)
  depth_m = rng.uniform(1, 3, (2, 7, 9)).astype(np.float32)
  depth_m[rng.uniform(size=depth_m.shape) < 0.5] = 0
  filled = np.asarray(complete_depth(depth_m))
  known = depth_m > 0
  np.testing.assert_array_equal(filled[known], depth_m[known])
  assert (filled[~known] >= depth_m[known].min() - 1e-4).all()
  assert (filled <= depth_m.max() + 1e-4).all()


def test_a_wall_is_completed_to_a_wall():
  depth_m = np.full((1, 8, 8), 2, np.float32)
  depth_m[:, 2:7, 1:6] = 0
  np.testing.assert_allclose(complete_depth(depth_m), 2, rtol=1e-5)


def test_an_image_without_depth_stays_without():
  assert not np.asarray(complete_depth(np.zeros((1, 6, 5), np.float32))).any()
