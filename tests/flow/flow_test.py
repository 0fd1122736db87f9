"""Laws of the flow: endpoints, conversions, and exact integration."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mirage_jax import flow

KEY = jax.random.key(0)
CLEAN = jax.random.normal(KEY, (2, 3, 4))
NOISE = jax.random.normal(jax.random.key(1), (2, 3, 4))


def test_path_ends_at_data_and_noise():
  np.testing.assert_array_equal(
    flow.interpolate(CLEAN, NOISE, jnp.zeros((2, 3))), CLEAN
  )
  np.testing.assert_array_equal(
    flow.interpolate(CLEAN, NOISE, jnp.ones((2, 3))), NOISE
  )


def test_clean_to_velocity_and_back():
  t = jnp.array([[0.1, 0.5, 1.0], [0.2, 0.7, 0.9]])
  x = flow.interpolate(CLEAN, NOISE, t)
  velocity = flow.velocity_from_clean(x, CLEAN, t)
  np.testing.assert_allclose(
    velocity, flow.velocity_target(CLEAN, NOISE), atol=1e-5
  )
  np.testing.assert_allclose(
    flow.clean_from_velocity(x, velocity, t), CLEAN, atol=1e-5
  )


@pytest.mark.parametrize('kind', ['euler', 'heun'])
@pytest.mark.parametrize('shift', [1.0, 3.0])
def test_sampler_is_exact_on_straight_lines(kind, shift):
  velocity = flow.velocity_target(CLEAN, NOISE)
  times = flow.Sampler(kind, steps=3, shift=shift).times()
  assert times[0] == 1.0
  assert times[-1] == 0.0
  out = flow.integrate(kind, lambda x, t: velocity, NOISE, times)
  np.testing.assert_allclose(out, CLEAN, atol=1e-5)


@pytest.mark.parametrize('kind', ['euler', 'heun'])
def test_examples_may_have_times_of_their_own(kind):
  """And a time that is repeated changes nothing."""
  grid = flow.Sampler(kind, steps=3).times()
  times = jnp.stack([grid[:3], grid[jnp.array([0, 0, 1])]], axis=-1)

  def velocity(x, t):
    return x * flow.expand(t, x)

  both = flow.integrate(kind, velocity, NOISE, times)
  for i, alone in enumerate([grid[:3], grid[:2]]):
    one = flow.integrate(kind, velocity, NOISE[i], alone)
    np.testing.assert_allclose(both[i], one, atol=1e-6)


def test_clean_for_endpoint_inverts_step_to():
  t, end = jnp.array([1.0, 0.4]), jnp.array([0.7, 0.0])
  x = flow.interpolate(CLEAN, NOISE, t)
  reached = flow.step_to(x, CLEAN, t, end)
  on_path = flow.interpolate(CLEAN, NOISE, end)
  np.testing.assert_allclose(reached, on_path, atol=1e-6)
  np.testing.assert_allclose(
    flow.clean_for_endpoint(x, reached, t, end), CLEAN, atol=1e-5
  )


def test_heun_is_of_higher_order_than_euler():
  def error(kind, steps):
    times = flow.Sampler(kind, steps).times()
    out = flow.integrate(kind, lambda x, t: x * t, jnp.ones(()), times)
    return abs(float(out) - np.exp(-0.5))

  assert error('heun', 8) < error('euler', 8) / 10
  assert error('euler', 16) < 0.6 * error('euler', 8)


def test_levels_lie_between_data_and_noise():
  t = flow.LogitNormal(mean=0.8).sample(KEY, (1000,))
  assert 0 < t.min() < t.max() < 1
  assert t.mean() > 0.5


def test_bad_samplers_are_refused():
  with pytest.raises(ValueError, match=r"unknown sampler 'rk4'.*euler"):
    flow.Sampler('rk4')
  with pytest.raises(ValueError, match='steps is 0'):
    flow.Sampler(steps=0)
