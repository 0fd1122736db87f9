import numpy as np
import pytest

from mirage_jax.data.readers.undistortion import (
  Lens,
  pinhole_of,
  sample_bilinear,
  sample_nearest,
  source_pixels,
)

LENS = Lens(k1=-0.2, k2=0.05, k3=0.01, p1=0.004, p2=-0.003)
HEIGHT, WIDTH = 40, 56
INTRINSICS = np.array([45.0, 44.0, 27.5, 20.5])


def colour(xy: np.ndarray) -> np.ndarray:
  """A smooth texture on the plane z = 1."""
  x, y = xy[..., 0], xy[..., 1]
  return 127.5 + 100 * np.stack([np.sin(3 * x), np.cos(3 * y), x * y], -1)


def pixel_rays(intrinsics: np.ndarray) -> np.ndarray:
  u, v = np.meshgrid(np.arange(WIDTH) + 0.5, np.arange(HEIGHT) + 0.5)
  return (np.stack([u, v], -1) - intrinsics[2:]) / intrinsics[:2]


@pytest.mark.parametrize('lens', [LENS, Lens(k1=0.15, p1=-0.002), Lens()])
def test_undistorting_inverts_distorting(lens):
  rays = np.random.default_rng(0).uniform(-0.6, 0.6, (500, 2))
  np.testing.assert_allclose(
    lens.undistort(lens.distort(rays)), rays, atol=1e-4
  )


@pytest.mark.parametrize('lens', [LENS, Lens(k1=0.15, p1=-0.002)])
def test_undistorted_image_is_what_a_pinhole_sees(lens):
  """Render a scene through the lens; undo it; compare with a pinhole's view."""
  distorted = colour(lens.undistort(pixel_rays(INTRINSICS))).astype(np.uint8)
  pinhole = pinhole_of(lens, INTRINSICS, HEIGHT, WIDTH)
  at = source_pixels(lens, INTRINSICS, pinhole, HEIGHT, WIDTH)
  expected = colour(pixel_rays(pinhole))
  np.testing.assert_allclose(sample_bilinear(distorted, at), expected, atol=1.5)
  red = distorted[..., 0].astype(np.float32)
  nearest = sample_nearest(red, at)
  assert np.abs(nearest - expected[..., 0]).max() < 8
  assert np.isin(nearest, red).all()


def test_no_pixel_is_without_content():
  """Before clipping to the image, nothing lies outside of it."""
  for lens in (LENS, Lens(k1=0.15, p1=-0.002)):
    pinhole = pinhole_of(lens, INTRINSICS, HEIGHT, WIDTH)
    uv = lens.distort(pixel_rays(pinhole)) * INTRINSICS[:2] + INTRINSICS[2:]
    assert (uv > 0.4).all() and (uv < [WIDTH - 0.4, HEIGHT - 0.4]).all()


def test_a_pinhole_stays_as_it_is():
  pinhole = pinhole_of(Lens(), INTRINSICS, HEIGHT, WIDTH)
  np.testing.assert_allclose(pinhole, INTRINSICS)
  at = source_pixels(Lens(), INTRINSICS, pinhole, HEIGHT, WIDTH)
  image = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3))
  image = image.astype(np.uint8)
  np.testing.assert_array_equal(sample_bilinear(image, at), image)
  assert Lens().is_pinhole and not LENS.is_pinhole


def test_a_lens_that_folds_is_refused():
  with pytest.raises(ValueError, match='cannot undo the distortion'):
    pinhole_of(Lens(k1=-3.0), INTRINSICS, HEIGHT, WIDTH)
