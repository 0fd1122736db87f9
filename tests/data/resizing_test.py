import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mirage_jax.data.resizing import resize_clip
from mirage_jax.geometry.cameras import unproject
from mirage_jax.geometry.clips import Clip


def wall(height=40, width=60):
  """A wall at 2 m; its colour is its own x and y."""
  u = (np.arange(width) + 0.5) / width
  v = (np.arange(height) + 0.5) / height
  x, y = np.meshgrid((u - 0.45) / 0.8, (v - 0.55) / 1.2, indexing='xy')
  rgb = np.stack([128 + 80 * x, 128 + 80 * y, 0 * x], -1).round()
  return Clip(
    rgb=np.tile(rgb.astype(np.uint8), (2, 1, 1, 1)),
    depth_m=np.full((2, height, width), 2.0, np.float32),
    intrinsics=np.tile(np.float32([0.8, 1.2, 0.45, 0.55]), (2, 1)),
    world_from_camera=np.tile(np.eye(4, dtype=np.float32), (2, 1, 1)),
    time_s=np.arange(2, dtype=np.float32),
    dynamic=np.tile(np.arange(width) < 30, (2, height, 1)),
  )


@pytest.mark.parametrize('size', [(20, 20), (20, 30), (10, 40), (64, 64)])
def test_every_pixel_still_sees_the_same_point(size):
  small = resize_clip(wall(), *size)
  assert small.rgb.shape == (2, *size, 3)
  points = unproject(jax.tree.map(jnp.asarray, small).cameras, small.depth_m)
  expected = 128 + 80 * np.asarray(points)[..., :2] / 2.0
  np.testing.assert_allclose(small.rgb[..., :2], expected, atol=2.0)
  # Movers are where x < 0.5 of the old image, which is x = 0.0625 at 1 m.
  inside = np.asarray(points)[..., 0] / 2.0
  sure = np.abs(inside - 0.0625) > 0.06
  np.testing.assert_array_equal(small.dynamic[sure], (inside < 0.0625)[sure])


def test_the_same_size_is_the_same_clip():
  clip = wall()
  assert resize_clip(clip, 40, 60) is clip


def test_no_size_is_refused():
  with pytest.raises(ValueError, match='0 x 4'):
    resize_clip(wall(), 0, 4)
