"""Contraction of unbounded space."""

import jax
import jax.numpy as jnp
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from mirage_jax.geometry.contraction import contract, stretch, uncontract

RADIUS = 2.0
axis = st.floats(-50, 50, width=32)
points = st.tuples(axis, axis, axis)


@settings(max_examples=30, deadline=None)
@given(points)
def test_contraction_has_an_inverse(point):
  x = jnp.array(point)
  back = uncontract(contract(x, RADIUS), RADIUS)
  np.testing.assert_allclose(back, x, rtol=1e-3, atol=1e-4)


@settings(max_examples=30, deadline=None)
@given(points)
def test_everything_lands_in_the_ball(point):
  x = jnp.array(point)
  assert jnp.linalg.norm(contract(x, RADIUS)) < 2 * RADIUS
  if np.linalg.norm(point) <= RADIUS:
    np.testing.assert_allclose(contract(x, RADIUS), x, rtol=1e-6)


def test_contraction_is_continuous_at_the_radius():
  direction = jnp.array([0.6, 0.0, -0.8])
  inside = contract(direction * RADIUS * (1 - 1e-6), RADIUS)
  outside = contract(direction * RADIUS * (1 + 1e-6), RADIUS)
  np.testing.assert_allclose(inside, outside, atol=1e-5)


def test_the_origin_is_kept_and_infinity_is_finite():
  origin = jnp.zeros(3)
  np.testing.assert_array_equal(contract(origin, RADIUS), origin)
  np.testing.assert_array_equal(uncontract(origin, RADIUS), origin)
  rim = uncontract(jnp.array([2 * RADIUS, 0.0, 0.0]), RADIUS)
  assert np.isfinite(rim).all() and rim[0] > 1e5 * RADIUS


def test_stretch_is_the_inverse_of_the_sideways_derivative():
  x = jnp.array([7.0, 0.0, 0.0])
  jacobian = jax.jacobian(contract)(x, RADIUS)
  np.testing.assert_allclose(stretch(x, RADIUS), 1 / jacobian[1, 1], rtol=1e-5)
  assert stretch(jnp.zeros(3), RADIUS) == 1
