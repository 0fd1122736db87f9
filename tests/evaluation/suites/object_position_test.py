"""Laws of object position: the matcher finds what moved, and by how much."""

import functools

import numpy as np
import pytest

from mirage_jax.data.sources.catalog import open_source
from mirage_jax.evaluation import closed_loop
from mirage_jax.evaluation.baselines import rollouts
from mirage_jax.evaluation.rollouts import Rollout
from mirage_jax.evaluation.suites import object_position
from mirage_jax.geometry.clips import take_frames
from tests.evaluation.suites.closed_loop_test import contest, pan
from tests.evaluation.suites.object_consistency_test import SOURCE

# A pixel of the painted sphere is 4 m / (0.5 * 32) = 0.25 m.


def moved(dx, dy=0, keep=True, stays=False):
  """Each object is drawn so far off; where it was is grey unless it stays.

  A copy of one that stays is a little paler than it.
  """

  def play(clips, observed, key):
    rest = take_frames(clips, slice(observed, None), axis=1)
    rgb = np.array(rest.rgb)
    for b in range(len(rgb)):
      full = SOURCE[b]
      for t in range(rgb.shape[1]):
        ids = full.object_id[observed + t]
        frame = np.minimum(rgb[b, t], 247) + np.uint8(8 * stays)
        if not stays:
          rgb[b, t][ids > 0] = 128
        if keep:
          rows, columns = np.nonzero(ids > 0)
          y, x = rows + dy, columns + dx
          ok = (y >= 0) & (y < ids.shape[0]) & (x >= 0) & (x < ids.shape[1])
          rgb[b, t, y[ok], x[ok]] = frame[rows[ok], columns[ok]]
    return Rollout(rest.replace(rgb=rgb))

  return play


PLAYERS = {
  'truth': moved(0),
  'one': moved(1),
  'two': moved(0, 2),
  'six': moved(6),
  'deleted': moved(0, keep=False),
  'both': moved(12, stays=True),
}


@functools.cache
def played():
  score = object_position.ObjectPosition()
  setting = contest(players=PLAYERS, windows=[(1, 3)], episodes=4, batch=4)
  return closed_loop.play(SOURCE, setting, {'where': score}, {})['where']


def mean(name, metric):
  return np.nanmean(played().values[name][metric])


def test_objects_count_that_were_seen_and_left_the_window():
  assert played().facts['objects'] == 4 * 2 * 2
  assert played().facts['movers'] == 0


@pytest.mark.parametrize(
  'name, pixels, right', [('truth', 0, 1), ('one', 1, 1), ('two', 2, 1),
                          ('six', 6, 0)],
)  # fmt: skip
def test_the_matcher_finds_by_how_much_an_object_moved(name, pixels, right):
  assert mean(name, 'object_px') == pytest.approx(pixels)
  assert mean(name, 'object_right') == right
  assert mean(name, 'object_missing') == 0
  assert mean(name, 'object_m') == pytest.approx(pixels * 0.23, rel=0.15)


def test_what_was_deleted_is_missing_and_wrong():
  assert mean('deleted', 'object_missing') == 1
  assert mean('deleted', 'object_right') == 0


@pytest.mark.parametrize(
  'name, ghost', [('truth', 0), ('deleted', 0), ('two', 0), ('six', 1)]
)
def test_an_object_that_is_drawn_elsewhere_is_a_ghost(name, ghost):
  assert mean(name, 'object_ghost') == ghost


def test_a_ghost_may_stand_beside_the_right_one():
  assert mean('both', 'object_right') == mean('both', 'object_ghost') == 1


def test_differences_are_those_of_a_plain_loop():
  rng = np.random.default_rng(0)
  rgb, template = rng.uniform(size=(2, 1, 9, 11, 3)).astype(np.float32)
  mask = np.zeros((1, 9, 11), bool)
  mask[0, 3:6, 4:8] = True
  found = np.asarray(object_position.differences(rgb, template, mask, reach=3))
  for dy, dx in [(0, 0), (2, -3), (-3, 3), (1, 2)]:
    rows, columns = np.nonzero(mask[0])
    apart = rgb[0, rows + dy, columns + dx] - template[0, rows, columns]
    expected = np.sqrt((apart**2).mean())
    np.testing.assert_allclose(found[0, 3 + dy, 3 + dx], expected, rtol=1e-3)


def test_an_object_may_not_leave_the_image():
  mask = np.zeros((1, 8, 8), bool)
  mask[0, :, :4] = True
  one = np.ones((1, 8, 8, 3), np.float32)
  found = np.asarray(object_position.differences(one, one, mask, reach=4))
  assert np.isfinite(found[0, 4, 3]) and np.isinf(found[0, 4, 0])


def test_a_plain_object_on_a_plain_wall_cannot_be_told():
  plain = [clip.replace(rgb=np.full_like(clip.rgb, 90)) for clip in SOURCE]
  score = object_position.ObjectPosition()
  setting = contest(players={}, windows=[(1, 3)], episodes=4)
  facts = closed_loop.play(plain, setting, {'where': score}, {})['where'].facts
  assert facts['objects'] == 0 and facts['cannot_be_told'] == 16


def test_clips_without_objects_are_refused():
  with pytest.raises(ValueError, match='needs clips with object_id'):
    closed_loop.play(
      [pan([0, 0, 60, 0], 0)],
      contest(players={}, observed=2, episodes=1),
      {'where': object_position.ObjectPosition()},
      {},
    )


def damaged(clips, observed, key):
  """The truth as a generator might draw it: blurred and noisy."""
  rest = take_frames(clips, slice(observed, None), axis=1)
  rgb = np.asarray(rest.rgb, np.float32)
  near = [np.roll(rgb, (y, x), (2, 3)) for y in (-1, 0, 1) for x in (-1, 0, 1)]
  noise = np.random.default_rng(0).normal(0, 8, rgb.shape)
  rgb = np.clip(0.5 * rgb + 0.5 * np.mean(near, 0) + noise, 0, 255)
  return Rollout(rest.replace(rgb=rgb.astype(np.uint8)))


@pytest.mark.slow
@pytest.mark.parametrize('kind, least', [('rooms', 30), ('streets', 5)])
def test_the_matcher_is_right_on_true_worlds_though_blurred_and_noisy(
  kind, least
):
  source = open_source(
    kind, clips=8, frames=48, paths=('out_and_back',), split='test'
  )
  setting = contest(
    players={'damaged': damaged}, windows=[(4, 4)], observed=16, episodes=8,
    batch=4,
  )  # fmt: skip
  score = object_position.ObjectPosition()
  result = closed_loop.play(
    source, setting, {'where': score}, {'frozen': rollouts.frozen_video}
  )['where']
  assert result.facts['objects'] > least
  assert np.nanmean(result.values['damaged']['object_right']) > 0.95
  assert np.nanmean(result.values['frozen']['object_right']) < 0.3
  assert np.nanmean(result.values['damaged']['object_px']) < 1
