"""Laws of object consistency: what counts, and what is noticed."""

import functools

import numpy as np
import pytest

from mirage_jax.evaluation import closed_loop
from mirage_jax.evaluation.rollouts import Rollout
from mirage_jax.evaluation.suites import object_consistency
from mirage_jax.geometry.clips import take_frames
from tests.evaluation.suites.closed_loop_test import SIZE, YAWS, contest, pan

BOXES = {1: (4, 2, 12), 2: (3, 19, 12)}  # left, top and side at yaw 0


def furnished(seed):
  """The painted sphere, with two objects painted where the camera begins."""
  clip = pan(YAWS, seed)
  rng = np.random.default_rng(seed)
  ids = np.zeros(clip.depth_m.shape, np.int32)
  rgb = np.array(clip.rgb)
  for which, (left, top, side) in BOXES.items():
    cut = np.s_[top : top + side, left : left + side]
    texture = rng.integers(0, 255, (side // 2, side // 2, 3))
    texture = texture.repeat(2, 0).repeat(2, 1)
    for t, yaw in enumerate(YAWS):
      if yaw == 0:
        rgb[t][cut], ids[t][cut] = texture, which
  return clip.replace(rgb=rgb.astype(np.uint8), object_id=ids)


SOURCE = [furnished(seed) for seed in range(4)]


def perturbed(change):
  def play(clips, observed, key):
    rest = take_frames(clips, slice(observed, None), axis=1)
    return Rollout(rest.replace(rgb=change(np.array(rest.rgb))))

  return play


def swapped(rgb):
  """Both objects change their colours, places stay."""
  rgb[:, -2:] = 255 - rgb[:, -2:]
  return rgb


PLAYERS = {'truth': lambda rgb: rgb, 'swapped': swapped}


@functools.cache
def played():
  setting = contest(
    players={name: perturbed(change) for name, change in PLAYERS.items()},
    windows=[(1, 3)],
    episodes=4,
  )
  score = object_consistency.ObjectConsistency()
  return closed_loop.play(SOURCE, setting, {'objects': score}, {})['objects']


def matched(name):
  return played().values[name]['object_lpips'].mean()


def test_objects_count_when_they_return():
  # Yaw 0 comes back in the last two frames, out of the window.
  assert played().facts == {'crops': 4 * 2 * 2, 'episodes': 4}


def test_the_truth_is_at_distance_zero():
  assert matched('truth') == pytest.approx(0, abs=1e-5)
  assert abs(played().sampled['truth']['object_frechet'].value) < 1e-3


def test_objects_of_other_colours_are_noticed():
  assert matched('swapped') > 0.1
  assert played().sampled['swapped']['object_frechet'].value > 0.1


def test_a_crop_is_square_and_inside():
  ids = np.zeros((1, 1, SIZE, SIZE), np.int32)
  ids[0, 0, 0:20, 0:3] = 7
  (crop,) = object_consistency.find_crops(ids, ids > 0)
  assert crop.object_id == 7 and crop.box == (0, 0, 24, 24)
  assert not object_consistency.find_crops(ids, ids < 0)


def test_clips_without_objects_are_refused():
  with pytest.raises(ValueError, match='needs clips with object_id'):
    closed_loop.play(
      [pan(YAWS, 0)],
      contest(players={}, episodes=1),
      {'objects': object_consistency.ObjectConsistency()},
      {},
    )
