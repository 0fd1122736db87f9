"""Laws of what the generator sees of a clip."""

import jax.numpy as jnp
import numpy as np

from mirage_jax.geometry.clips import Clip
from mirage_jax.models import codec


def test_depth_goes_through_its_code_and_back():
  depth = jnp.array([0.05, 0.3, 1.0, 2.0, 7.0, 40.0, 400.0])
  code = codec.encode_depth(depth)
  np.testing.assert_allclose(codec.decode_depth(code), depth, rtol=1e-2)
  assert (jnp.diff(code) < 0).all()
  assert jnp.abs(code).max() <= 1
  assert codec.encode_depth(jnp.zeros(())) == -1
  assert jnp.isfinite(
    codec.decode_depth(jnp.array([-5.0, -1.0, 1.0, 5.0]))
  ).all()


def test_colours_go_through_their_code_and_back():
  rgb = jnp.arange(256, dtype=jnp.uint8)
  np.testing.assert_array_equal(
    codec.decode_colour(codec.encode_colour(rgb)), rgb
  )


def test_movers_sky_and_holes_stay_out_of_the_static_field():
  shape = (2, 4, 4)
  clip = Clip(
    rgb=jnp.zeros((*shape, 3), jnp.uint8),
    depth_m=jnp.ones(shape).at[0, 0].set(0),
    intrinsics=jnp.ones((2, 4)),
    world_from_camera=jnp.zeros((2, 4, 4)),
    time_s=jnp.zeros(2),
    dynamic=jnp.zeros(shape, bool).at[0, 1].set(True),
    sky=jnp.zeros(shape, bool).at[0, 2].set(True),
  )
  weight = codec.static_weight(clip)
  assert (weight[0, :3] == 0).all()
  assert (weight[0, 3] == 1).all()
  assert (weight[1] == 1).all()
  bare = clip.replace(dynamic=None, sky=None)
  assert codec.static_weight(bare).sum() == 32 - 4
  assert codec.fill_masks(bare).dynamic.sum() == 0
