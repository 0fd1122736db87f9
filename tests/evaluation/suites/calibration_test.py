"""Laws of calibration: right is counted as defined, honesty has no error."""

import dataclasses

import numpy as np
import pytest

from mirage_jax.evaluation import closed_loop
from mirage_jax.evaluation.baselines import rollouts
from mirage_jax.evaluation.rollouts import Rollout
from mirage_jax.evaluation.suites import calibration
from mirage_jax.geometry.clips import take_frames
from mirage_jax.memory.contract import Readout
from tests.evaluation.suites.closed_loop_test import SOURCE, contest


def counts_of(confidence, right):
  return calibration.histogram(
    np.asarray(confidence, np.float64), np.asarray(right, bool)
  ).astype(np.float64)


def test_honest_confidence_has_no_error():
  rng = np.random.default_rng(0)
  sure = rng.uniform(size=200_000)
  honest = counts_of(sure, rng.uniform(size=sure.size) < sure)
  assert calibration.calibration_error(honest) < 0.005
  boastful = counts_of(np.full(100, 0.95), np.arange(100) < 40)
  assert calibration.calibration_error(boastful) == pytest.approx(0.55)


def test_confidence_that_sorts_has_less_risk_than_one_that_does_not():
  right = np.arange(1000) < 500
  sorting = counts_of(np.where(right, 0.9, 0.1), right)
  blind = counts_of(np.full(1000, 0.5), right)
  assert calibration.area_under_risk(blind) == pytest.approx(0.5)
  assert calibration.area_under_risk(sorting) < 0.3
  coverage, risk = calibration.risk_coverage(sorting)
  assert coverage[-1] == 1 and risk[-1] == pytest.approx(0.5)
  assert risk[np.flatnonzero(coverage)[0]] == 0


def knowing(confidence, colour=0.0, depth=1.0):
  """A player that shows the truth, off by a colour and a factor of depth."""

  def play(clips, observed, key):
    rest = take_frames(clips, slice(observed, None), axis=1)
    rgb = rest.rgb / 127.5 - 1 + 2 * colour
    one = np.ones(rest.depth_m.shape, np.float32)
    readout = Readout(
      features=rgb.astype(np.float32),
      depth_m=rest.depth_m * depth,
      opacity=one,
      confidence=confidence * one,
    )
    return Rollout(rest, readout)

  return play


@pytest.mark.parametrize(
  'off, right',
  [({}, 1), ({'colour': 0.09}, 1), ({'colour': 0.11}, 0), ({'depth': 1.06}, 0)],
)
def test_right_is_colour_and_depth(off, right):
  played = closed_loop.play(
    SOURCE,
    contest(players={'one': knowing(0.9, **off), 'none': silent}),
    {'calibration': calibration.Calibration()},
    {},
  )['calibration']
  assert set(played.values) == {'one'}
  values = played.values['one']
  np.testing.assert_allclose(values['right'], right, atol=0.02)
  np.testing.assert_allclose(values['confidence'], 0.9, atol=1e-4)
  error = played.intervals['one']['ece']['mean']
  assert error == pytest.approx(abs(0.9 - right), abs=0.02)
  (curve,) = played.curves['risk'].lines.values()
  np.testing.assert_allclose(curve[1], 1 - right, atol=0.02)


def test_what_claims_nothing_is_not_perfect():
  def modest(clips, observed, key):
    rollout = knowing(0.0)(clips, observed, key)
    opacity = 0 * rollout.readout.opacity
    readout = dataclasses.replace(rollout.readout, opacity=opacity)
    return dataclasses.replace(rollout, readout=readout)

  played = closed_loop.play(
    SOURCE,
    contest(players={'one': knowing(0.9), 'none': modest}),
    {'calibration': calibration.Calibration()},
    {},
  )['calibration']
  assert set(played.intervals) == {'one'}
  assert np.isnan(played.values['none']['right']).all()


def silent(clips, observed, key):
  """A player without a memory."""
  return dataclasses.replace(knowing(0.5)(clips, observed, key), readout=None)


def test_guards_are_sure_and_one_of_them_is_right():
  played = closed_loop.play(
    SOURCE,
    contest(players={}),
    {'calibration': calibration.Calibration()},
    rollouts.BASELINES,
  )['calibration']
  right = {k: np.nanmean(v['right']) for k, v in played.values.items()}
  assert set(right) == set(rollouts.BASELINES) and right['ground_truth'] == 1
  for name in ('copy_first_frame', 'frozen_video'):
    assert right[name] < 0.5
    error = played.intervals[name]['ece']['mean']
    assert error == pytest.approx(1 - right[name], abs=0.1)
