"""Calibration: whether a memory is as sure as it is right.

Confidence is to be the probability that a pixel's colour is within
`COLOUR_WITHIN` in every channel and its depth within `DEPTH_WITHIN` of the
truth. Counted are the static pixels of the generated frames that the memory
claims (opacity above 0.5), before anything is generated from them.

`ece` is the expected calibration error over `BINS` bins of equal width; `aurc`
the mean risk (share of wrong pixels) over all coverages, when the most
confident pixels are taken first.
"""

import numpy as np

from mirage_jax.arrays import Array, Bool, Float
from mirage_jax.evaluation.closed_loop import Curve, Played, Result
from mirage_jax.evaluation.metrics import image, statistics, visibility
from mirage_jax.evaluation.suite import RETURN, EpisodeSuite
from mirage_jax.geometry.clips import Clip
from mirage_jax.memory.contract import Readout

COLOUR_WITHIN = 0.1  # of [0, 1]
DEPTH_WITHIN = 0.05  # relative
BINS = 20


def right_pixels(truth: Clip, readout: Readout) -> Bool[np.ndarray, 'b t h w']:
  """Marks pixels where both the colour and the depth of a readout are right."""
  rgb, true_rgb = (
    np.asarray(image.unit_rgb(np.asarray(x))) for x in (readout.rgb, truth.rgb)
  )
  true_m = np.asarray(truth.depth_m)
  colour = (np.abs(rgb - true_rgb) <= COLOUR_WITHIN).all(-1)
  apart = np.abs(np.asarray(readout.depth_m) - true_m)
  return colour & (apart <= DEPTH_WITHIN * true_m)


def histogram(
  confidence: Float[np.ndarray, 'p'], right: Bool[np.ndarray, 'p']
) -> Float[Array, '3 bins']:
  """For every bin: pixels, the sum of their confidence, right ones."""
  which = np.clip((confidence * BINS).astype(int), 0, BINS - 1)
  weights = (None, confidence, right.astype(np.float64))
  counts = [np.bincount(which, w, BINS) for w in weights]
  return np.stack(counts).astype(np.float64)


def calibration_error(
  counts: Float[Array, '*n 3 bins'],
) -> Float[Array, '*n']:
  """Expected calibration error of `histogram`s (Naeini et al. 2015)."""
  number, confidence, right = np.moveaxis(np.asarray(counts), -2, 0)
  total = np.maximum(number.sum(-1), 1)
  return np.asarray(np.abs(confidence - right).sum(-1) / total)


def risk_coverage(
  counts: Float[Array, '*n 3 bins'],
) -> tuple[Float[np.ndarray, '*n bins'], Float[np.ndarray, '*n bins']]:
  """Coverage and risk as ever less confident bins are taken too."""
  number, _, right = np.moveaxis(
    np.asarray(counts)[..., ::-1].cumsum(-1), -2, 0
  )
  coverage = number / np.maximum(number[..., -1:], 1)
  return coverage, 1 - right / np.maximum(number, 1)


def area_under_risk(
  counts: Float[Array, '*n 3 bins'],
) -> Float[Array, '*n']:
  """Mean risk over all coverages."""
  coverage, risk = risk_coverage(counts)
  return np.asarray((risk * np.diff(coverage, axis=-1, prepend=0)).sum(-1))


class Calibration:
  """Compares what memories claim of generated views with the truth."""

  def __init__(self, seed: int = 0):
    self._seed = seed
    self._counts: dict[str, list[np.ndarray]] = {}

  def add(self, played: Played, result: Result) -> None:
    """Counts a batch; players without a readout have no part in this."""
    static = np.asarray(visibility.static_pixels(played.truth))
    for name, rollout in played.rollouts.items():
      readout = rollout.readout
      if readout is None:
        continue
      claimed = static & (np.asarray(readout.opacity) > 0.5)
      right = right_pixels(played.truth, readout)
      confidence = np.asarray(readout.confidence)
      counts = self._counts.setdefault(name, [])
      counts += [
        histogram(c[m], r[m])
        for c, r, m in zip(confidence, right, claimed, strict=True)
      ]
      number, sure, good = np.array(counts[-len(static) :]).sum(-1).T
      some = np.where(number > 0, number, np.nan)
      result.add(name, {'right': good / some, 'confidence': sure / some})

  def finish(self, result: Result) -> None:
    """Adds the errors over all pixels, and the curve of risk.

    What claims no pixel has neither.
    """
    curve = {}
    for name, parts in self._counts.items():
      counts = np.array(parts)
      if not counts[:, 0].any():
        continue
      result.intervals[name] = {
        metric: statistics.of_sums(f, counts, self._seed)
        for metric, f in (('ece', calibration_error), ('aurc', area_under_risk))
      }
      coverage, risk = risk_coverage(counts.sum(0))
      some = coverage > 0
      curve[name] = coverage[some], risk[some]
    result.curves['risk'] = Curve('risk', 'coverage', curve)


SUITE = EpisodeSuite(
  name='calibration',
  question='Is confidence the share of right pixels?',
  note=(
    'Of the pixels that a memory claims before anything is generated. '
    f'`right`: colour within {COLOUR_WITHIN} and depth within '
    f'{DEPTH_WITHIN:.0%}; `ece`: expected calibration error; '
    '`aurc`: mean risk over all coverages.'
  ),
  main=('ece', 'aurc'),
  stage=RETURN,
  score=Calibration,
  ratios=('right',),
)
