"""Laws of patches, rotations, modulation and attention."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.experimental.pallas import tpu as pltpu

from mirage_jax import sharding
from mirage_jax.nn.attention import Attention, attend
from mirage_jax.nn.embeddings import (
  level_embedding,
  patchify,
  rotary_angles,
  rotate,
  unpatchify,
)
from mirage_jax.nn.mlp import Mlp
from mirage_jax.nn.modulation import modulate, normalise

KEY = jax.random.key(0)


def test_patches_go_back_to_their_places():
  x = jax.random.normal(KEY, (2, 3, 8, 12, 5))
  tokens = patchify(x, 4)
  assert tokens.shape == (2, 3, 6, 80)
  np.testing.assert_array_equal(unpatchify(tokens, 4, 8, 12), x)
  np.testing.assert_array_equal(
    tokens[0, 0, 4].reshape(4, 4, 5), x[0, 0, 4:, 4:8]
  )


def test_rotary_products_depend_on_differences_of_time_alone():
  q, k = jax.random.normal(KEY, (2, 1, 1, 6, 16))

  def products(start):
    angles = rotary_angles(start + jnp.arange(1.0), 2, 3, 16)
    later = rotary_angles(start + 2 + jnp.arange(1.0), 2, 3, 16)
    return jnp.einsum('bhqk,bhsk->qs', rotate(q, angles), rotate(k, later))

  np.testing.assert_allclose(products(0), products(5), atol=1e-4)
  turned = rotate(q, rotary_angles(jnp.arange(1.0) + 3, 2, 3, 16))
  np.testing.assert_allclose(
    jnp.linalg.norm(turned, axis=-1), jnp.linalg.norm(q, axis=-1), rtol=1e-5
  )


def test_levels_are_told_apart():
  t = jnp.linspace(0, 1, 101)
  e = level_embedding(t, 64)
  distances = jnp.linalg.norm(e[:, None] - e[None], axis=-1)
  assert (distances + 10 * jnp.eye(101)).min() > 0.1


def test_zero_modulation_is_the_norm():
  x = jax.random.normal(KEY, (2, 3, 4, 8)) * 5 + 2
  zero = jnp.zeros((2, 3, 8))
  np.testing.assert_array_equal(modulate(x, zero, zero), normalise(x))
  np.testing.assert_allclose(normalise(x).mean(-1), 0, atol=1e-5)
  np.testing.assert_allclose(normalise(x).std(-1), 1, atol=1e-4)


def test_tokens_after_a_past_attend_as_if_they_came_with_it():
  x = jax.random.normal(KEY, (2, 6, 16))
  angles = rotary_angles(jnp.arange(3.0), 1, 2, 8)
  module = Attention(heads=2)
  params = module.init(KEY, x, angles)
  whole, _ = module.apply(params, x, angles)
  _, past = module.apply(params, x[:, :4], angles[:4])
  after, own = module.apply(params, x[:, 4:], angles[4:], past)
  np.testing.assert_allclose(after, whole[:, 4:], atol=1e-5)
  assert past.keys.shape == (2, 2, 4, 8) and own.values.shape == (2, 2, 2, 8)
  other, _ = module.apply(params, x[:, 4:], angles[4:])
  assert jnp.abs(other - after).max() > 1e-3


def test_mlp_treats_tokens_alike():
  x = jax.random.normal(KEY, (2, 3, 4, 8))
  module = Mlp(expansion=2.0)
  params = module.init(KEY, x)
  whole = module.apply(params, x)
  np.testing.assert_allclose(
    whole[1, 2], module.apply(params, x[1, 2]), atol=1e-5
  )


def test_the_kernel_for_tpus_says_what_the_plain_product_says():
  q, k, v = (
    jax.random.normal(jax.random.fold_in(KEY, i), (2, 4, n, 64))
    for i, n in enumerate((128, 256, 256))
  )

  def loss(kernel):
    return lambda *x: (attend(*x, kernel) ** 2).sum()

  expected = jax.value_and_grad(loss('plain'), (0, 1, 2))(q, k, v)
  mesh = sharding.make_mesh(devices=jax.devices()[:1])
  with pltpu.force_tpu_interpret_mode(), jax.set_mesh(mesh):
    found = jax.jit(jax.value_and_grad(loss('flash'), (0, 1, 2)))(q, k, v)
  chex.assert_trees_all_close(found, expected, rtol=1e-3, atol=1e-3)


def test_unknown_kernels_are_named():
  x = jnp.ones((1, 1, 2, 4))
  with pytest.raises(ValueError, match="unknown kernel 'flsh'; have plain"):
    attend(x, x, x, 'flsh')
