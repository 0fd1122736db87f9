"""Laws of pictures at the resolution of a memory."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mirage_jax.geometry.clips import Clip
from mirage_jax.memory.contract import Readout
from mirage_jax.models import pixel_groups
from mirage_jax.models.codec import encode_colour, fill_masks
from mirage_jax.models.world_model import init_params, make_pixel_model

SIZE = 8
CELLS = pytest.mark.parametrize('cell', [1, 2, 4])


def noise(learned, cell):
  """Frames of noise, and learned features of their cells."""
  rng = np.random.default_rng(0)
  shape = (2, SIZE, SIZE)
  clip = Clip(
    rgb=rng.integers(0, 256, (*shape, 3)).astype(np.uint8),
    depth_m=rng.uniform(2, 4, shape).astype(np.float32),
    intrinsics=np.ones((2, 4), np.float32),
    world_from_camera=np.tile(np.eye(4, dtype=np.float32), (2, 1, 1)),
    time_s=np.arange(2, dtype=np.float32),
  )
  side = SIZE // cell
  return fill_masks(clip), rng.normal(size=(2, side, side, learned))


@CELLS
def test_unfolding_what_was_folded_gives_every_pixel(cell):
  clip, learned = noise(5, cell)
  observed = pixel_groups.fold(clip, learned, cell)
  depth, features = observed.depth_m, observed.features
  weight = observed.weight
  assert features.shape[-1] == pixel_groups.num_features(cell, 5)
  assert (np.asarray(weight) == 1).all()
  rgb = encode_colour(clip.rgb)
  blocks = rgb.reshape(2, SIZE // cell, cell, SIZE // cell, cell, 3)
  np.testing.assert_allclose(features[..., :3], blocks.mean((2, 4)), atol=1e-6)
  readout = pixel_groups.unfold(Readout(features, depth, weight, weight), cell)
  np.testing.assert_allclose(readout.rgb, rgb, atol=1e-6)
  np.testing.assert_allclose(readout.depth_m, clip.depth_m, rtol=1e-5)
  spread = jnp.repeat(jnp.repeat(learned, cell, 1), cell, 2)
  np.testing.assert_allclose(readout.features[..., 3:], spread, rtol=1e-6)


def test_a_cell_where_anything_moves_or_whose_middle_is_sky_weighs_nothing():
  clip, learned = noise(1, 4)
  moving, sky = (
    clip.dynamic.at[0, 3, 4].set(True),
    clip.sky.at[1, 2, 6].set(True),
  )
  sky = sky.at[0, 0, 0].set(True)
  clip = dataclasses.replace(clip, dynamic=moving, sky=sky)
  weight = pixel_groups.fold(clip, learned, 4).weight
  np.testing.assert_array_equal(weight, [[[1, 0], [1, 1]], [[1, 0], [1, 1]]])


def test_depths_that_are_missing_do_not_matter():
  clip, learned = noise(1, 2)
  depth = jnp.asarray(clip.depth_m).at[0, 0, 0].set(0).at[0, 3, 3].set(0)
  clip = dataclasses.replace(clip, depth_m=depth)
  observed = pixel_groups.fold(clip, learned, 2)
  depth, features = observed.depth_m, observed.features
  weight = observed.weight
  assert np.isfinite(features).all() and weight[0, 1, 1] == 0
  readout = pixel_groups.unfold(Readout(features, depth, weight, weight), 2)
  np.testing.assert_allclose(readout.depth_m[0, 0, 0], depth[0, 0, 0])


def test_a_cell_that_does_not_fit_a_token_is_named():
  trunk = {'width': 32, 'layers': 1, 'heads': 2}
  model = make_pixel_model(transformer=trunk, patch=8, pixel_group=4)
  with pytest.raises(ValueError, match='pixel_group is 4 with feature_pixels'):
    init_params(model, jax.random.key(0), 16, 16)
