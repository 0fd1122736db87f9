import numpy as np
import pytest

from mirage_jax.evaluation.metrics import distributions

EPISODES = np.repeat(np.arange(24), 5)


def draw(seed, shift=0.0, scale=1.0):
  """24 episodes of five features that share their episode's offset."""
  rng = np.random.default_rng(seed)
  episode = rng.normal(0, 1, (24, 1, 8))
  made = (episode + rng.normal(0, 0.5, (24, 5, 8))) * scale + shift
  return made.reshape(-1, 8)


def kernel(real, made):
  return distributions.kernel_distance(real, made, EPISODES)


def frechet(real, made):
  return distributions.frechet_distance(real, made, EPISODES)


def test_alike_sets_are_at_distance_about_zero():
  found = kernel(draw(0), draw(1)).interval()
  assert found['low'] < 0.05 and abs(found['mean']) < 0.2
  assert found == kernel(draw(0), draw(1)).interval()


@pytest.mark.parametrize('distance', [kernel, frechet])
@pytest.mark.parametrize('change', [{'shift': 1.0}, {'scale': 0.3}])
def test_shifted_or_collapsed_sets_are_far(distance, change):
  alike, other = draw(1), draw(1, **change)
  near, far = distance(draw(0), alike), distance(draw(0), other)
  assert far.value > 2 * near.value + 0.1
  assert far.minus(near)['low'] > 0


def test_episodes_of_any_size_weigh_by_their_features():
  rng = np.random.default_rng(0)
  real, made = rng.normal(size=(2, 9, 4))
  episode = np.array([0, 0, 0, 1, 1, 4, 4, 4, 4])
  found = distributions.kernel_distance(real, made, episode)
  spread = np.sqrt(((real - real.mean(0)) ** 2).mean())
  x, y = (real - real.mean(0)) / spread, (made - real.mean(0)) / spread
  k = lambda a, b: (a @ b.T / 4 + 1) ** 3
  apart = episode[:, None] != episode[None]
  plain = (k(x, x) + k(y, y) - k(x, y) - k(y, x))[apart].mean()
  np.testing.assert_allclose(found.value, plain, rtol=1e-6)
  assert found.n == 3


def test_a_set_is_at_frechet_distance_zero_from_itself():
  assert abs(frechet(draw(0), draw(0)).value) < 1e-6


def test_an_interval_holds_its_figure_though_resamples_are_biased():
  near, far = frechet(draw(0), draw(1)), frechet(draw(0), draw(2, shift=0.1))
  assert np.mean(near.samples > near.value) > 0.9
  each = near.interval(), far.minus(near), far.change_from(near)
  assert all(x['low'] < x['mean'] < x['high'] for x in each)


def test_frechet_is_exact_for_a_pure_shift():
  real = draw(0)
  spread = np.sqrt(real.var(0).mean())
  found = frechet(real, real + 2 * spread)
  assert found.value == pytest.approx(4 * 8, rel=1e-3)


def test_a_feature_that_hardly_varies_does_not_rule():
  real, made = draw(0), draw(1)
  real[..., 0], made[..., 0] = 0.0, 0.3
  real[0, 0] = 1e-9
  assert abs(kernel(real, made).value) < 1.0


@pytest.mark.parametrize('name', ['kernel_distance', 'frechet_distance'])
def test_episodes_are_several_and_in_order(name):
  distance, real = getattr(distributions, name), draw(0)
  with pytest.raises(ValueError, match='at least 2'):
    distance(real[:5], real[:5], EPISODES[:5])
  with pytest.raises(ValueError, match='not in the order'):
    distance(real, real, EPISODES[::-1])
