"""Compositing of samples along rays."""

import jax.numpy as jnp
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from mirage_jax.geometry.rendering import composite, composite_weights

alphas = arrays(np.float32, (3, 4), elements=st.floats(0, 1, width=32))


@settings(max_examples=30, deadline=None)
@given(alphas)
def test_weights_and_what_passes_sum_to_one(alpha):
  weights, passing = composite_weights(jnp.asarray(alpha))
  np.testing.assert_allclose(weights.sum(-1) + passing, 1, atol=1e-6)
  assert (weights >= 0).all()


def test_an_opaque_sample_hides_what_is_behind():
  alpha = jnp.array([0.25, 1.0, 1.0])
  weights, passing = composite_weights(alpha)
  np.testing.assert_allclose(weights, [0.25, 0.75, 0.0])
  assert passing == 0


def test_composite_is_the_weighted_sum():
  weights = jnp.array([[0.25, 0.5]])
  values = jnp.array([[[4.0, 0.0], [2.0, 6.0]]])
  np.testing.assert_allclose(composite(weights, values), [[2.0, 3.0]])
