"""Closed-loop suites: what a player is asked, and how it is scored.

All players of a suite play the same episodes with the same masks, and the
controls stand beside the models. Per episode: PSNR is of the mean squared error
over all counted pixels of all frames; LPIPS and SSIM are means over the counted
frames. A *returned frame* is one in which at least `RETURNED_SHARE` of the
static pixels are returned pixels (see `visibility`); `..._lpips` and
`..._ssim` are of these whole frames. `..._region_lpips` is of all frames with
at least `REGION_SHARE` such pixels, all others replaced by the truth;
`..._region_kid` and `..._region_frechet` are distances between the set of these
(of every fourth frame) and that of the true frames.
"""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from mirage_jax.arrays import Array, Bool
from mirage_jax.evaluation import controls
from mirage_jax.evaluation.closed_loop import (
  Contest,
  Curve,
  Played,
  Result,
  play,
)
from mirage_jax.evaluation.metrics import image, perceptual, visibility
from mirage_jax.evaluation.metrics.feature_sets import FeatureSets
from mirage_jax.geometry.clips import Clip
from mirage_jax.memory.contract import Readout

RETURNED_SHARE = 0.5
REGION_SHARE = 0.1
MAX_AGE = 64
FEATURES_EVERY = 4  # frames; neighbours are much alike


@jax.jit
def _maps(rgb, truth):
  rgb, truth = image.unit_rgb(rgb), image.unit_rgb(truth)
  return image.squared_error(rgb, truth), image.ssim(rgb, truth)


def _episode_psnr(error: np.ndarray, mask: np.ndarray) -> np.ndarray:
  """`[b]`: PSNR of the mean error over the mask's pixels of all frames."""
  return np.asarray(image.psnr_db(image.masked_mean(error, mask, (1, 2, 3))))


def _frame_mean(values: np.ndarray, frames: np.ndarray) -> np.ndarray:
  """`[b]`: mean over the marked frames, NaN where there is none."""
  return np.asarray(image.masked_mean(values, frames, (1,)))


def score_rollout(
  truth: Clip, made: Clip, mask: np.ndarray, prefix: str
) -> tuple[dict[str, np.ndarray], np.ndarray]:
  """Scores of generated frames against the true ones, `[b, t, ...]`.

  Returns:
    Per-episode figures: of all frames, and (named with `prefix`) of the pixels
    of `mask` and the frames that are mostly such pixels; and the error maps.
  """
  error, ssim = (np.asarray(x) for x in _maps(made.rgb, truth.rgb))
  rgb, true_rgb = image.unit_rgb(made.rgb), image.unit_rgb(truth.rgb)
  lpips = np.asarray(perceptual.lpips(rgb, true_rgb))
  regions = mostly(mask, truth, REGION_SHARE)
  region_lpips = np.zeros(regions.shape)
  if regions.any():
    region = jnp.where(
      mask[regions][..., None], rgb[regions], true_rgb[regions]
    )
    region_lpips[regions] = perceptual.lpips(region, true_rgb[regions])
  everything = np.ones(error.shape, bool)
  frames = mostly(mask, truth)
  every_frame = np.ones(frames.shape, bool)
  found = {
    f'{prefix}_psnr_db': _episode_psnr(error, mask),
    f'{prefix}_lpips': _frame_mean(lpips, frames),
    f'{prefix}_region_lpips': _frame_mean(region_lpips, regions),
    f'{prefix}_ssim': _frame_mean(ssim, frames),
    'psnr_db': _episode_psnr(error, everything),
    'lpips': _frame_mean(lpips, every_frame),
    'ssim': _frame_mean(ssim, every_frame),
  }
  if np.any(made.depth_m > 0):
    flat = [
      np.asarray(x).reshape(len(mask), 1, -1)
      for x in (made.depth_m, truth.depth_m, mask)
    ]
    errors = image.depth_errors(*flat)
    found[f'{prefix}_depth_median_rel'] = np.asarray(errors['depth_median_rel'])
  return found, error


def score_readout(
  truth: Clip, readout: Readout, mask: np.ndarray
) -> dict[str, np.ndarray]:
  """How well the memory alone shows the pixels of `mask`, before generating.

  `readout_psnr_db` and `readout_depth_median_rel` are over those that it claims
  (opacity above 0.5), `readout_coverage` is their share.
  """
  claimed = np.asarray(readout.opacity) > 0.5
  error, _ = _maps(readout.rgb, truth.rgb)
  flat = [
    np.asarray(x).reshape(len(mask), 1, -1)
    for x in (readout.depth_m, truth.depth_m, mask & claimed)
  ]
  depth = image.depth_errors(*flat)['depth_median_rel']
  return {
    'readout_psnr_db': _episode_psnr(np.asarray(error), mask & claimed),
    'readout_coverage': np.asarray(
      image.masked_mean(claimed.astype(np.float32), mask, (1, 2, 3))
    ),
    'readout_depth_median_rel': np.asarray(depth),
  }


def mostly(
  mask: np.ndarray, truth: Clip, share: float = RETURNED_SHARE
) -> np.ndarray:
  """`[b, t]`: frames with at least `share` of the static pixels in the mask."""
  static = np.asarray(visibility.static_pixels(truth)).sum((-2, -1))
  return mask.sum((-2, -1)) >= np.maximum(share * static, 1)


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
      x = np.flatnonzero(count > 1000)
      curves[name] = x, np.asarray(image.psnr_db(total[x] / count[x]))
    return curves


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
    curves = result.curves
    curves['psnr_db against frames since last seen'] = self._ages.curve()
    curves['psnr_db against generated frame'] = _frame_curve(self._by_frame)
    result.facts = self._counts


def closed_loop(source: Any, contest: Contest) -> Result:
  """Plays `ClosedLoop` alone, with the controls beside the models.

  Raises:
    ValueError: too few clips, or too short ones.
  """
  scores = {'closed_loop': ClosedLoop()}
  return play(source, contest, scores, controls.CONTROLS)['closed_loop']


def _frame_curve(errors: Mapping[str, list[np.ndarray]]) -> Curve:
  curves = {}
  for name, parts in errors.items():
    mean = np.concatenate(parts).mean(0)
    x = np.arange(1, len(mean) + 1)
    curves[name] = x, np.asarray(image.psnr_db(jnp.asarray(mean)))
  return curves


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
    curve = _frame_curve(self._by_frame)
    result.curves['psnr_db against generated frame'] = curve


def add_frames(
  sets: FeatureSets,
  played: Played,
  which: Bool[np.ndarray, 'b t'],
  region: Bool[np.ndarray, 'b t h w'] | None = None,
) -> None:
  """Adds every fourth of the frames `which` to `sets`: true and generated.

  With a `region`, all other pixels are replaced by the truth.
  """
  some = np.arange(which.shape[1]) % FEATURES_EVERY == 0
  which = which & some
  chosen = lambda clip: image.unit_rgb(np.asarray(clip.rgb)[which])
  true = chosen(played.truth)
  made = {name: chosen(x.clip) for name, x in played.rollouts.items()}
  if region is not None:
    kept = region[which][..., None]
    made = {name: jnp.where(kept, rgb, true) for name, rgb in made.items()}
  sets.add(true, made, np.nonzero(which)[0], len(which))
