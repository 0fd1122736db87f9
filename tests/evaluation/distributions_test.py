import numpy as np
import pytest

from mirage_jax.evaluation import distributions


def draw(seed, shift=0.0, scale=1.0):
  """Twelve episodes of five frames that share their episode's offset."""
  rng = np.random.default_rng(seed)
  episode = rng.normal(0, 1, (24, 1, 8))
  return (episode + rng.normal(0, 0.5, (24, 5, 8))) * scale + shift


def test_alike_sets_are_at_distance_about_zero():
  found = distributions.kernel_distance(draw(0), draw(1))
  assert found['low'] < 0.05 and abs(found['mean']) < 0.2
  assert found == distributions.kernel_distance(draw(0), draw(1))


@pytest.mark.parametrize('change', [{'shift': 1.0}, {'scale': 0.3}])
def test_shifted_or_collapsed_sets_are_far(change):
  alike, other = draw(1), draw(1, **change)
  kernel = distributions.kernel_distance
  assert kernel(draw(0), other)['mean'] > kernel(draw(0), alike)['mean'] + 0.2
  real = draw(0).reshape(-1, 8)
  near = distributions.frechet_distance(real, alike.reshape(-1, 8))
  far = distributions.frechet_distance(real, other.reshape(-1, 8))
  assert far > 2 * near


def test_a_set_is_at_frechet_distance_zero_from_itself():
  real = draw(0).reshape(-1, 8)
  assert abs(distributions.frechet_distance(real, real)) < 1e-6


def test_frechet_is_exact_for_a_pure_shift():
  real = draw(0).reshape(-1, 8)
  spread = np.sqrt(real.var(0).mean())
  moved = real + 2 * spread
  found = distributions.frechet_distance(real, moved)
  assert found == pytest.approx(4 * 8, rel=1e-3)


def test_a_feature_that_hardly_varies_does_not_rule():
  real, made = draw(0), draw(1)
  real[..., 0], made[..., 0] = 0.0, 0.3
  real[0, 0, 0] = 1e-9
  assert abs(distributions.kernel_distance(real, made)['mean']) < 1.0


def test_one_episode_has_no_distance():
  with pytest.raises(ValueError, match='at least 2'):
    distributions.kernel_distance(draw(0)[:1], draw(0)[:1])
