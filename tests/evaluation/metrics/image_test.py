import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mirage_jax.evaluation.metrics import image as metrics


def picture(seed=0, size=32):
  """A smooth picture with an edge, `[h, w, 3]` in [0, 1]."""
  y, x = jnp.mgrid[0:size, 0:size] / size
  waves = jnp.sin(9 * x + seed) * jnp.cos(7 * y) * 0.3 + 0.5
  edge = jnp.where(x + y > 1, 0.2, 0.0)
  return jnp.stack([waves, waves * 0.5 + edge, 1 - waves], -1)


def blurred(image):
  return (
    sum(jnp.roll(image, (i, j), (0, 1)) for i in (-2, 0, 2) for j in (-2, 0, 2))
    / 9
  )


def noisy(image, scale=0.1):
  noise = scale * jax.random.normal(jax.random.key(1), image.shape)
  return jnp.clip(image + noise, 0, 1)


WORSE = {
  'blur': blurred,
  'noise': noisy,
  'shift': lambda image: jnp.roll(image, 3, 1),
  'dark': lambda image: image * 0.7,
}


@pytest.mark.parametrize('name', WORSE)
@pytest.mark.parametrize('metric', [metrics.psnr, metrics.ssim])
def test_every_damage_lowers_the_score(name, metric):
  image = picture()
  assert metric(WORSE[name](image), image) < metric(image, image) - 0.01


@pytest.mark.parametrize('metric', [metrics.psnr, metrics.ssim])
def test_more_noise_scores_lower(metric):
  image = picture()
  scores = [float(metric(noisy(image, s), image)) for s in (0.02, 0.1, 0.3)]
  assert scores[0] > scores[1] > scores[2]


def test_a_copy_is_perfect():
  image = picture()
  assert metrics.psnr(image, image) == pytest.approx(60.0)
  np.testing.assert_allclose(metrics.ssim(image, image), 1.0, atol=1e-5)


def test_psnr_is_its_definition():
  image, other = picture(0), picture(1)
  expected = -10 * np.log10(np.mean((np.array(image) - np.array(other)) ** 2))
  np.testing.assert_allclose(metrics.psnr(other, image), expected, rtol=1e-5)


def test_pixels_outside_the_mask_do_not_count():
  image = picture()
  mask = jnp.zeros(image.shape[:2], bool).at[4:12, 4:12].set(True)
  spoilt = jnp.where(mask[..., None], image, 0.0)
  assert metrics.psnr(spoilt, image, mask) == pytest.approx(60.0)
  assert metrics.psnr(spoilt, image) < 20


def test_an_empty_mask_has_no_score():
  image = picture()
  empty = jnp.zeros(image.shape[:2], bool)
  assert jnp.isnan(metrics.psnr(image, image, empty))
  assert jnp.isnan(metrics.ssim(image, image, empty))


def test_ssim_is_symmetric_and_batched():
  batch = jnp.stack([picture(i) for i in range(3)])
  other = jnp.stack([picture(i + 1) for i in range(3)])
  forward = metrics.ssim(batch, other)
  np.testing.assert_allclose(forward, metrics.ssim(other, batch), atol=1e-6)
  one = metrics.ssim(batch[1], other[1])
  np.testing.assert_allclose(forward[1], one, atol=1e-5)


def test_colours_of_both_kinds_become_the_same_unit_range():
  bytes_ = jnp.array([[[0, 128, 255]]], jnp.uint8)
  floats = bytes_.astype(jnp.float32) / 127.5 - 1
  np.testing.assert_allclose(
    metrics.unit_rgb(bytes_), metrics.unit_rgb(floats), atol=1e-6
  )


def test_a_scaled_depth_has_that_relative_error_and_holes_do_not_count():
  reference = jnp.full((8, 8), 2.0).at[:2].set(0.0)
  errors = metrics.depth_errors(reference * 1.1 + 0.0, reference)
  np.testing.assert_allclose(errors['depth_median_rel'], 0.1, rtol=1e-5)
  np.testing.assert_allclose(errors['depth_mean_rel'], 0.1, rtol=1e-5)
  assert errors['depth_within_5pct'] == 0
  assert metrics.depth_errors(reference, reference)['depth_within_5pct'] == 1
