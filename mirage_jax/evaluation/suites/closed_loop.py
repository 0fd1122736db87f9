"""The closed-loop suite: leave and come back.

All players play the same episodes with the same masks, and the baselines stand
beside the models; see `frame_scores` for the metrics.
"""

import numpy as np

from mirage_jax.arrays import Array
from mirage_jax.evaluation.closed_loop import Curve, Played, Result
from mirage_jax.evaluation.frame_scores import (
  REGION_SHARE,
  RETURNED_SHARE,
  add_frames,
  mostly,
  psnr_by_frame,
  score_readout,
  score_rollout,
)
from mirage_jax.evaluation.metrics import image
from mirage_jax.evaluation.metrics.feature_sets import FeatureSets
from mirage_jax.evaluation.suite import RETURN, EpisodeSuite

MAX_AGE = 64  # frames since a pixel was last seen; older ones count as 64
MIN_PIXELS = 1000  # of a point of the curve


class _ByAge:
  """Mean squared error against the frames since a pixel was last seen."""

  def __init__(self):
    self._sums: dict[str, np.ndarray] = {}

  def add(self, name: str, error, mask, age) -> None:
    age = np.clip(age[mask], 0, MAX_AGE)
    sums = self._sums.setdefault(name, np.zeros((2, MAX_AGE + 1)))
    sums[0] += np.bincount(age, error[mask], MAX_AGE + 1)
    sums[1] += np.bincount(age, minlength=MAX_AGE + 1)

  def curve(self) -> Curve:
    curves = {}
    for name, (total, count) in self._sums.items():
      x = np.flatnonzero(count > MIN_PIXELS)
      curves[name] = x, np.asarray(image.psnr_db(total[x] / count[x]))
    return Curve('psnr_db', 'frames since last seen', curves)


class ClosedLoop:
  """Leave and come back: the returned pixels against the truth.

  Scores of returned pixels and frames, and of all generated frames; the
  distance of the set of frames with returned regions from that of the true
  ones; the curve of PSNR against the frames since a pixel was last seen.
  """

  def __init__(self, seed: int = 0):
    self._ages = _ByAge()
    self._frames = FeatureSets(seed)
    self._by_frame: dict[str, list[np.ndarray]] = {}
    self._counts = {'returned_frames': 0, 'returned_pixels': 0, 'pixels': 0}

  def add(self, played: Played, result: Result) -> Array:
    """Scores a batch by its returned pixels."""
    truth, mask = played.truth, np.asarray(played.returned.mask)
    for name, rollout in played.rollouts.items():
      values, error = score_rollout(truth, rollout.clip, mask, 'returned')
      result.add(name, values)
      if rollout.readout is not None:
        result.add(name, score_readout(truth, rollout.readout, mask))
      self._ages.add(name, error, mask, played.returned.age)
      self._by_frame.setdefault(name, []).append(error.mean((2, 3)))
    add_frames(self._frames, played, mostly(mask, truth, REGION_SHARE), mask)
    self._counts['returned_frames'] += int(mostly(mask, truth).sum())
    self._counts['returned_pixels'] += int(mask.sum())
    self._counts['pixels'] += mask.size
    return mask

  def finish(self, result: Result) -> None:
    """Adds the distances, the curves, and how much returned."""
    result.sampled = self._frames.distances('returned_region_')
    result.curves['since_seen'] = self._ages.curve()
    result.curves['frame'] = psnr_by_frame(self._by_frame)
    result.facts = self._counts


SUITE = EpisodeSuite(
  name='closed_loop',
  question='Are returned pixels and frames as they were?',
  note=(
    'Returned pixels: static, seen in an observed frame (depth reprojection '
    'with an occlusion test), in none of the context frames. PSNR is of the '
    'mean squared error over all returned pixels of an episode. '
    '`returned_lpips` and `returned_ssim`: whole frames of which at least '
    f'{RETURNED_SHARE:.0%} of the static pixels are returned. '
    '`returned_region_lpips`: frames with at least '
    f'{REGION_SHARE:.0%}, all other pixels replaced by the ground truth. '
    '`readout_...`: the memory alone on returned pixels. '
    '`returned_region_kid` and `_frechet`: distances between the VGG16 '
    'features of every fourth such frame and of the true ones. '
    'Means over episodes, 95 % bootstrap intervals over episodes.'
  ),
  main=('returned_psnr_db', 'returned_lpips'),
  stage=RETURN,
  score=ClosedLoop,
  ratios=('returned_lpips', 'returned_region_lpips', 'lpips'),
)
