"""Every score of matched pairs worsens with the size of what it should notice.

Players know the truth and spoil it: objects drawn 0.1 to 1 m off, swapped or
deleted, pictures blurred or with noise, a video that stands still.
"""

import functools

import numpy as np
import pytest

from mirage_jax.evaluation import closed_loop
from mirage_jax.evaluation.baselines import rollouts
from mirage_jax.evaluation.rollouts import Rollout
from mirage_jax.evaluation.suites import (
  memory_gain,
  object_consistency,
  object_position,
  own_return,
)
from mirage_jax.evaluation.suites.closed_loop import ClosedLoop
from mirage_jax.evaluation.suites.exploration import Exploration
from mirage_jax.geometry.clips import take_frames
from tests.evaluation.suites.closed_loop_test import contest
from tests.evaluation.suites.object_consistency_test import BOXES, SOURCE

PIXEL_M = 0.25  # 4 m / (0.5 * 32), on the painted sphere
SHIFTS_M, BLURS, NOISES = (0.1, 0.25, 0.5, 1.0), (1, 2, 4), (10, 30, 90)
EVENTS = ('swapped', 'deleted', 'frozen')


def player(change):
  """Plays the truth after `change(rgb [t, h, w, 3], ids)`."""

  def play(clips, observed, key):
    rest = take_frames(clips, slice(observed, None), axis=1)
    ids = [clip.object_id[observed:] for clip in SOURCE]
    pairs = zip(np.array(rest.rgb), ids, strict=True)
    rgb = np.stack([change(x, each) for x, each in pairs])
    return Rollout(rest.replace(rgb=rgb.astype(np.uint8)))

  return play


def shifted(metres):
  """All objects drawn so far to the right; where they were is grey."""

  def by(rgb, ids, pixels):
    moved, where = (np.roll(x, pixels, axis=2) for x in (rgb, ids))
    rgb = np.where((ids > 0)[..., None], 128, rgb)
    return np.where((where > 0)[..., None], moved, rgb)

  def change(rgb, ids):
    whole, part = divmod(metres / PIXEL_M, 1)
    low, high = (by(rgb, ids, int(whole) + i) for i in (0, 1))
    return (1 - part) * low + part * high

  return change


def blurred(width):
  def change(rgb, ids):
    parts = [np.roll(rgb, i, axis=2) for i in range(-width, width + 1)]
    return np.mean(parts, 0)

  return change


def noisy(scale):
  def change(rgb, ids):
    noise = np.random.default_rng(0).normal(0, scale, rgb.shape)
    return np.clip(rgb + noise, 0, 255)

  return change


def swapped(rgb, ids):
  """The two objects stand in each other's place."""
  (x, y, side), (u, v, _) = BOXES.values()
  rgb = rgb.copy()
  for t in np.flatnonzero((ids > 0).any((1, 2))):
    one, other = rgb[t, y : y + side, x : x + side], rgb[t, v : v + side, u:]
    other = other[:, :side]
    one[:], other[:] = other.copy(), one.copy()
  return rgb


def deleted(rgb, ids):
  return np.where((ids > 0)[..., None], 128, rgb)


@functools.cache
def played():
  """Each suite's result, all played at once."""
  players = {
    'truth': rollouts.ground_truth,
    'frozen': rollouts.frozen_video,
    'swapped': player(swapped),
    'deleted': player(deleted),
    **{f'shift {x}': player(shifted(x)) for x in SHIFTS_M},
    **{f'blur {x}': player(blurred(x)) for x in BLURS},
    **{f'noise {x}': player(noisy(x)) for x in NOISES},
  }
  setting = contest(players=players, windows=[(1, 3)], episodes=4, batch=4)
  scores = {
    'closed_loop': ClosedLoop(),
    'memory_gain': memory_gain.MemoryGain(),
    'object_consistency': object_consistency.ObjectConsistency(),
    'object_position': object_position.ObjectPosition(),
    'exploration': Exploration(),
    'own_return': own_return.OwnReturn(),
  }
  return closed_loop.play(SOURCE, setting, scores, {})


def badness(metric, name):
  """A metric's mean, turned so that more is worse."""
  suite, _, metric = metric.partition('.')
  value = np.nanmean(played()[suite].values[name][metric])
  better = metric.endswith(('psnr_db', 'right', 'gain', 'ssim'))
  return -value if better else value


PICTURES = (
  'closed_loop.returned_psnr_db',
  'closed_loop.returned_lpips',
  'memory_gain.revisit_lpips',
  'object_consistency.object_lpips',
  'exploration.psnr_db',
  'exploration.lpips',
)
PLACES = ('closed_loop.returned_psnr_db', 'object_consistency.object_lpips')


@pytest.mark.parametrize(
  'kind, sizes, metric',
  [('shift', SHIFTS_M, x) for x in PLACES]
  + [('shift', SHIFTS_M[1:], 'object_position.object_m')]  # whole pixels
  + [('blur', BLURS, x) for x in PICTURES]
  + [('noise', NOISES, x) for x in (*PICTURES, 'own_return.own_psnr_db')],
)
def test_more_damage_is_a_worse_score(kind, sizes, metric):
  names = ['truth', *(f'{kind} {size}' for size in sizes)]
  assert (np.diff([badness(metric, name) for name in names]) > 0).all()


@pytest.mark.parametrize('event', EVENTS)
@pytest.mark.parametrize(
  'metric',
  [
    'closed_loop.returned_psnr_db',
    'memory_gain.memory_gain',
    'object_consistency.object_lpips',
    'object_position.object_right',
  ],
)
def test_what_has_happened_to_objects_is_noticed(event, metric):
  assert badness(metric, event) > badness(metric, 'truth') + 1e-3


def test_a_video_that_stands_still_gains_nothing_by_its_own_return():
  values = played()['own_return'].values
  gain = np.nanmean(values['frozen']['own_contrast_db'])
  assert gain == pytest.approx(0, abs=1e-6)
  assert np.nanmean(values['truth']['own_contrast_db']) > 5
