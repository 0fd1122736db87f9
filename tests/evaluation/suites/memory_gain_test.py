"""Laws of the memory gain: a frozen video has none, a memory has."""

import functools

import numpy as np
import pytest

from mirage_jax.evaluation import closed_loop
from mirage_jax.evaluation.baselines import rollouts
from mirage_jax.evaluation.baselines.rollouts import pose_distance
from mirage_jax.evaluation.rollouts import Rollout
from mirage_jax.evaluation.suites import memory_gain
from mirage_jax.geometry.clips import take_frames
from tests.evaluation.suites.closed_loop_test import SOURCE, contest

OBSERVED = 3


def blurred(width):
  """The truth, blurred along its rows."""

  def play(clips, observed, key):
    rest = take_frames(clips, slice(observed, None), axis=1)
    rolled = [np.roll(rest.rgb, i, axis=3) for i in range(width)]
    return Rollout(rest.replace(rgb=np.mean(rolled, 0).astype(np.uint8)))

  return play


@functools.cache
def played():
  players = {f'blur {w}': blurred(w) for w in (1, 3, 9)}
  return closed_loop.play(
    SOURCE,
    contest(players=players, windows=[(2, 3)]),
    {'gain': memory_gain.MemoryGain()},
    rollouts.BASELINES,
  )['gain']


def test_pairs_are_revisits_and_places_elsewhere_by_one_observed_frame():
  clip = SOURCE[0]
  rest = take_frames(clip, slice(OBSERVED, None))
  distance = np.asarray(pose_distance(rest.cameras, clip.cameras))
  window = closed_loop.joined_windows(12, contest())
  pairs = memory_gain.find_pairs(distance, window, OBSERVED)
  # Generated frames 6, 7 and 8 look where the observed ones did.
  assert pairs[:, 1].tolist() == [6, 7, 8]
  for given, revisit, other in pairs:
    assert distance[revisit, given] < memory_gain.REVISIT_M
    assert distance[other, given] > memory_gain.ELSEWHERE_M
    assert not window[revisit, given] and not window[other, given]


def test_a_path_that_never_returns_has_no_pairs():
  distance = np.full((4, 6), 3.0)
  pairs = memory_gain.find_pairs(distance, np.zeros((4, 6), bool), 2)
  assert pairs.shape == (0, 3)


def test_a_frozen_video_gains_nothing():
  result = played()
  gain = result.values['frozen_video']['memory_gain']
  np.testing.assert_allclose(gain, 0, atol=1e-5)
  assert abs(result.intervals['frozen_video']['nmr']['mean']) < 1e-3


def test_a_memory_gains_and_the_better_one_more():
  values = played().values
  gains = [values[f'blur {w}']['memory_gain'].mean() for w in (1, 3, 9)]
  assert gains[0] > gains[1] > gains[2] > 0
  assert played().intervals['blur 1']['nmr']['mean'] > 0.5
  assert played().facts['pairs'] == 9


def test_episodes_without_pictures_have_no_mean():
  none = np.zeros((0, 32, 32, 3), np.float32)
  some = np.zeros((2, 32, 32, 3), np.float32)
  found = memory_gain.mean_lpips([none, some], [none, some])
  assert np.isnan(found[0]) and found[1] == pytest.approx(0, abs=1e-6)
  assert np.isnan(memory_gain.mean_lpips([none], [none])).all()
