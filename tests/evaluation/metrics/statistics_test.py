import numpy as np
import pytest

from mirage_jax.evaluation.metrics import statistics


def test_the_interval_holds_the_mean_and_repeats_from_its_seed():
  values = np.random.default_rng(0).normal(3.0, 1.0, 64)
  first = statistics.interval(values, seed=1)
  assert first == statistics.interval(values, seed=1)
  assert first['low'] < first['mean'] < first['high']
  assert first['n'] == 64
  assert first['high'] - first['low'] == pytest.approx(
    2 * 1.96 * values.std() / 8, rel=0.2
  )


def test_the_interval_covers_the_truth_about_95_times_in_100():
  rng = np.random.default_rng(2)
  covered = 0
  for _ in range(200):
    found = statistics.interval(rng.normal(0.0, 1.0, 40), resamples=400)
    covered += found['low'] <= 0 <= found['high']
  assert 0.88 <= covered / 200 <= 0.99


def test_episodes_without_a_value_are_left_out_and_counted():
  found = statistics.interval([1.0, np.nan, 3.0])
  assert found['mean'] == 2.0 and found['n'] == 2
  nothing = statistics.interval([np.nan])
  assert nothing == {'mean': None, 'low': None, 'high': None, 'n': 0}


def test_pairing_removes_what_episodes_share():
  rng = np.random.default_rng(3)
  difficulty = rng.normal(0, 10, 64)
  better = difficulty + 1 + rng.normal(0, 0.1, 64)
  found = statistics.paired_difference(better, difficulty)
  assert 0.9 < found['low'] < found['high'] < 1.1


def test_a_halved_error_is_a_ratio_of_minus_a_half():
  values = np.random.default_rng(4).uniform(1, 2, 32)
  found = statistics.paired_ratio(values / 2, values)
  assert found['mean'] == pytest.approx(-0.5)
  assert found['high'] - found['low'] < 1e-9
  assert statistics.paired_ratio([np.nan], [1.0])['n'] == 0
  nothing = statistics.paired_ratio([0.0, 0.0], [0.0, 0.0])
  assert nothing['mean'] == nothing['low'] == nothing['high'] == 0
  assert statistics.paired_ratio([1.0], [0.0])['mean'] == np.inf


def test_unequal_episodes_are_refused():
  with pytest.raises(ValueError, match='same episodes'):
    statistics.paired_difference([1.0, 2.0], [1.0])
