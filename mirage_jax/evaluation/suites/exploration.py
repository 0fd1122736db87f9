"""The exploration suite: places that no frame has seen."""

import numpy as np

from mirage_jax.arrays import Array
from mirage_jax.evaluation.closed_loop import Played, Result
from mirage_jax.evaluation.frame_scores import (
  add_frames,
  psnr_by_frame,
  score_rollout,
)
from mirage_jax.evaluation.metrics.feature_sets import FeatureSets
from mirage_jax.evaluation.reports.tables import MARGIN_DB, no_worse
from mirage_jax.evaluation.suite import EXPLORE, EpisodeSuite


class Exploration:
  """Go where nobody has been: a memory must not hurt.

  Scores all generated frames against the truth, the never-seen pixels apart,
  and the distance of the set of generated frames (every fourth) from that of
  the true ones, `kid` and `frechet`, and of clips, by features averaged over
  time, `clip_kid` and `clip_frechet`.
  """

  def __init__(self, seed: int = 0):
    self._frames = FeatureSets(seed)
    self._by_frame: dict[str, list[np.ndarray]] = {}

  def add(self, played: Played, result: Result) -> Array:
    """Scores a batch by its fresh pixels."""
    truth, fresh = played.truth, np.asarray(played.returned.fresh)
    for name, rollout in played.rollouts.items():
      values, error = score_rollout(truth, rollout.clip, fresh, 'fresh')
      result.add(name, values)
      self._by_frame.setdefault(name, []).append(error.mean((2, 3)))
    add_frames(self._frames, played, np.ones(fresh.shape[:2], bool))
    return fresh

  def finish(self, result: Result) -> None:
    """Adds the distances between the sets, and the curve."""
    of_frames = self._frames.distances()
    of_clips = self._frames.distances('clip_', averaged=True)
    result.sampled = {k: x | of_clips[k] for k, x in of_frames.items()}
    result.curves['frame'] = psnr_by_frame(self._by_frame)


SUITE = EpisodeSuite(
  name='exploration',
  question='Does a memory harm places that no frame has seen?',
  note=(
    'All generated frames against the ground truth; `fresh`: pixels that no '
    'earlier frame saw. `kid`, `frechet`: distances of VGG16 features; '
    '`clip_...`: of features averaged over time. No worse: '
    f'the paired interval of psnr_db lies above {-MARGIN_DB} dB.'
  ),
  main=('psnr_db', 'kid'),
  stage=EXPLORE,
  score=Exploration,
  ratios=('fresh_lpips', 'fresh_region_lpips', 'lpips'),
  remarks=no_worse,
)
