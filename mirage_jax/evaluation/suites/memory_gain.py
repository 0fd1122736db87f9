"""Memory gain: how much more alike two views are because the second returns.

A video can look like its own past because it remembers, or because it hardly
changes. So each *revisit pair*, an observed frame and a generated one from
nearly the same pose, out of the window, is held against a pair of the same
observed frame and a generated one from elsewhere, made at about the same time
(the gaps in time are matched): `memory_gain` is the mean difference of their
likeness, minus LPIPS. A frozen video's is 0 by construction.

Normalised as in R2M-Bench, by what short range reaches: `nmr` is the gain over
the same difference for pairs of neighbouring frames, so that 1 says "a return
is as consistent as one frame is with the next".
"""

import jax
import numpy as np

from mirage_jax.arrays import Bool, Float, Int
from mirage_jax.evaluation.baselines.rollouts import pose_distance
from mirage_jax.evaluation.closed_loop import Played, Result
from mirage_jax.evaluation.metrics import image, perceptual, statistics
from mirage_jax.evaluation.suite import RETURN, EpisodeSuite

REVISIT_M = 0.3  # largest `pose_distance` of a revisit: 0.3 m, or 9 degrees
ELSEWHERE_M = 1.5  # least one of a pair that is none: 1.5 m, or 43 degrees
GAP_SLACK = 8  # frames by which the gaps of the two pairs may differ


def find_pairs(
  distance: Float[np.ndarray, 't s'],
  in_window: Bool[np.ndarray, 't s'],
  observed: int,
) -> Int[np.ndarray, 'p 3']:
  """Triples of an observed frame, its revisit, and the frame that is none.

  Args:
    distance: `pose_distance` of every generated frame from every frame.
    in_window: frames that a model had in its window.
    observed: frames given.

  Returns:
    Indices: of the observed frame, and of two generated frames counted from
    the first generated one.
  """
  given = np.where(in_window, np.inf, distance)[:, :observed]
  index = np.arange(len(given))
  triples = []
  for t in index:
    r = int(given[t].argmin())
    if given[t, r] > REVISIT_M:
      continue
    near = (np.abs(index - t) <= GAP_SLACK) & ~in_window[:, r]
    away = np.where(near, distance[:, r], -np.inf)
    other = int(away.argmax())
    if away[other] >= ELSEWHERE_M:
      triples.append((r, t, other))
  return np.array(triples, int).reshape(-1, 3)


class MemoryGain:
  """Scores revisits against gap-matched pairs that are none.

  Per episode `memory_gain`, `revisit_lpips` and `elsewhere_lpips`; `nmr` with
  its bootstrap interval over episodes.
  """

  def __init__(self, seed: int = 0):
    self._seed = seed
    self._short: dict[str, list[np.ndarray]] = {}
    self._pairs = 0

  def add(self, played: Played, result: Result) -> None:
    """Scores a batch by the pairs that its cameras make."""
    clips, observed = played.clips, played.observed
    every = jax.device_get(pose_distance(played.truth.cameras, clips.cameras))
    pairs = [find_pairs(x, played.window, observed) for x in every]
    self._pairs += sum(map(len, pairs))
    given = np.asarray(image.unit_rgb(clips.rgb[:, :observed]))
    for name, rollout in played.rollouts.items():
      made = np.asarray(image.unit_rgb(rollout.clip.rgb))
      looks = _take(given, pairs, 0)
      revisit = mean_lpips(looks, _take(made, pairs, 1))
      other = mean_lpips(looks, _take(made, pairs, 2))
      before = [np.maximum(p - 1, 0) for p in pairs]
      short = mean_lpips(_take(made, before, 1), _take(made, pairs, 1))
      self._short.setdefault(name, []).append(short)
      gains = {
        'memory_gain': other - revisit,
        'revisit_lpips': revisit,
        'elsewhere_lpips': other,
      }
      result.add(name, gains)

  def finish(self, result: Result) -> None:
    """Adds the normalised gain, and how many pairs there were."""
    for name, parts in self._short.items():
      gain = result.values[name]['memory_gain']
      reach = result.values[name]['elsewhere_lpips'] - np.concatenate(parts)
      result.intervals[name] = {
        'nmr': statistics.ratio_of_means(gain, reach, self._seed)
      }
    result.facts = {'pairs': self._pairs}


def _take(
  rgb: Float[np.ndarray, 'b t h w 3'], pairs: list[np.ndarray], column: int
) -> list[np.ndarray]:
  """Each episode's frames of one column of its triples."""
  return [x[p[:, column]] for x, p in zip(rgb, pairs, strict=True)]


def mean_lpips(
  first: list[np.ndarray], second: list[np.ndarray]
) -> Float[np.ndarray, 'b']:
  """Mean LPIPS of each episode's pictures `[p, h, w, 3]`; NaN without any."""
  if not sum(map(len, first)):
    return np.full(len(first), np.nan)
  pair = np.concatenate(first), np.concatenate(second)
  found = np.asarray(perceptual.lpips(*pair))
  ends = np.cumsum([len(x) for x in first])[:-1]
  return np.array(
    [x.mean() if len(x) else np.nan for x in np.split(found, ends)]
  )


SUITE = EpisodeSuite(
  name='memory_gain',
  question='How much more alike are two views because the second is a return?',
  note=(
    'Likeness is minus LPIPS. `memory_gain`: a generated view that returns '
    'against the observed frame there, less the same for a generated view '
    'from elsewhere, made within '
    f'{GAP_SLACK} frames of it. `nmr`: that over the same '
    'difference for neighbouring frames. A frozen video has 0.'
  ),
  main=('memory_gain', 'nmr'),
  stage=RETURN,
  score=MemoryGain,
  ratios=('revisit_lpips', 'elsewhere_lpips'),
)
