"""Figures of the readout suite: pooled errors and their bootstrap intervals.

PSNR is taken of the squared error pooled over pixels and frames, so that a
frame counts by what is claimed in it:

  psnr_db         over the pixels the readout claims (opacity above 0.5)
  psnr_common_db  over the pixels that all readouts of the table claim
  psnr_shared_db  over the pixels that both it and the point cloud claim
  psnr_all_db     over all pixels; unclaimed ones get the mean written colour

`*_gain_db` is the difference to the point cloud, paired. Intervals resample the
episodes: held-out frames of one recording, or whole scenes of generated worlds.
"""

import dataclasses
import math
from collections.abc import Mapping, Sequence

import numpy as np

from mirage_jax.arrays import Bool, Float, UInt8
from mirage_jax.evaluation.metrics import image, statistics
from mirage_jax.geometry.clips import Clip
from mirage_jax.memory.contract import Readout

CLAIM = 0.5
CLOUD = 'point_cloud'
RESAMPLED_MEDIANS = 200
UNKNOWN = 0.2  # grey of unclaimed pixels
GAP = 2


@dataclasses.dataclass(frozen=True)
class HeldOut:
  """Held-out frames of one clip, and each method's readout of them.

  Attributes:
    target: the held-out frames, `[n, ...]`.
    readouts: per method, `[n, h, w, ...]`.
    sizes: per method, the bytes it keeps.
    mean_rgb: mean colour of the written frames, in [0, 1].
  """

  target: Clip
  readouts: Mapping[str, Readout]
  sizes: Mapping[str, int]
  mean_rgb: Float[np.ndarray, '3']


def claims(readout: Readout) -> Bool[np.ndarray, 'n h w']:
  """The pixels that a readout says it knows."""
  return np.asarray(readout.opacity) > CLAIM


def static_pixels(clip: Clip) -> Bool[np.ndarray, 'n h w']:
  """The pixels that a memory of what stays can be judged by."""
  if clip.dynamic is None:
    return np.ones(clip.depth_m.shape, bool)
  return ~np.asarray(clip.dynamic)


def squared_errors(views: HeldOut, name: str) -> Float[np.ndarray, 'n h w']:
  """Squared colour error of one method, unclaimed pixels at the mean colour."""
  readout = views.readouts[name]
  rgb = np.clip(np.asarray(readout.rgb) * 0.5 + 0.5, 0, 1)
  rgb = np.where(claims(readout)[..., None], rgb, views.mean_rgb)
  return ((rgb - np.asarray(views.target.rgb) / 255.0) ** 2).mean(-1)


def pixel_sets(
  views: HeldOut, name: str
) -> dict[str, Bool[np.ndarray, 'n h w']]:
  """The pixels over which each PSNR of one method is taken."""
  counted = static_pixels(views.target)
  own = claims(views.readouts[name]) & counted
  common = counted
  for readout in views.readouts.values():
    common = common & claims(readout)
  sets = {'psnr': own, 'psnr_common': common, 'psnr_all': counted}
  if CLOUD in views.readouts:
    sets['psnr_shared'] = own & claims(views.readouts[CLOUD])
  return sets


def relative_depth_error(
  views: HeldOut, name: str
) -> tuple[Float[np.ndarray, 'n h w'], Bool[np.ndarray, 'n h w']]:
  """Depth error of every pixel, and where it counts: claimed, with truth."""
  readout, truth = views.readouts[name], np.asarray(views.target.depth_m)
  error = np.abs(readout.depth_m - truth) / np.maximum(truth, 1e-6)
  counted = claims(readout) & (truth > 0) & static_pixels(views.target)
  return error, counted


def resampled_means(
  values: Sequence[Float[np.ndarray, 'n h w']],
  masks: Sequence[Bool[np.ndarray, 'n h w']],
  seed: int,
) -> Float[np.ndarray, 'r']:
  """Pooled mean over the pixels of `masks`: of all episodes, then resampled.

  One clip has its frames as episodes; of several, each is one episode.
  """
  axes = (1, 2) if len(values) == 1 else (0, 1, 2)
  pairs = list(zip(values, masks, strict=True))
  total = np.hstack([(v * m).sum(axes) for v, m in pairs])
  count = np.hstack([m.sum(axes) for m in masks])
  n = len(total)
  rows = np.random.default_rng(seed).integers(0, n, (statistics.RESAMPLES, n))
  rows = np.concatenate([np.arange(n)[None], rows])
  return total[rows].sum(1) / np.maximum(count[rows].sum(1), 1)


def as_interval(draws: Float[np.ndarray, 'r'], n: int) -> statistics.Interval:
  """The first draw as the value, the others as its 95 % interval."""
  low, high = np.quantile(draws[1:], (0.025, 0.975))
  value = {'mean': draws[0], 'low': low, 'high': high}
  return {k: float(v) for k, v in value.items()} | {'n': n}


def median_interval(
  values: Sequence[Float[np.ndarray, '...']],
  masks: Sequence[Bool[np.ndarray, '...']],
  seed: int,
) -> statistics.Interval:
  """Median of the masked values of all episodes, with its interval."""
  n, rng = len(values), np.random.default_rng(seed)
  kept = [v[m] for v, m in zip(values, masks, strict=True)]
  if not any(map(len, kept)):
    return statistics.interval([])
  rows = [range(n), *rng.integers(0, n, (RESAMPLED_MEDIANS, n))]
  draws = [np.concatenate([kept[i] for i in row]) for row in rows]
  draws = [np.median(x) if len(x) else np.nan for x in draws]
  return as_interval(np.array(draws), n)


def score(clips: Sequence[HeldOut], seed: int = 0) -> dict[str, dict]:
  """The table of the suite: `{name: {metric: interval}}`."""
  return {name: score_method(clips, name, seed) for name in clips[0].readouts}


def score_method(clips: Sequence[HeldOut], name: str, seed: int) -> dict:
  """All figures of one method."""

  def psnr(who, sets, which):
    errors = [squared_errors(views, who) for views in clips]
    means = resampled_means(errors, [s[which] for s in sets], seed)
    return np.asarray(image.psnr_db(means))

  n = len(clips[0].target.rgb) if len(clips) == 1 else len(clips)
  sets = [pixel_sets(views, name) for views in clips]
  table = {}
  for which in sets[0]:
    draws = psnr(name, sets, which)
    table[f'{which}_db'] = as_interval(draws, n)
    if name != CLOUD and CLOUD in clips[0].readouts:
      own = which == 'psnr'
      theirs = [pixel_sets(v, CLOUD) for v in clips] if own else sets
      gain = draws - psnr(CLOUD, theirs, which)
      table[f'{which}_gain_db'] = as_interval(gain, n)
  claimed = [claims(views.readouts[name]).astype(float) for views in clips]
  share = resampled_means(claimed, [s['psnr_all'] for s in sets], seed)
  table['coverage'] = as_interval(share, n)
  errors = [relative_depth_error(views, name) for views in clips]
  if len(clips) == 1:
    errors = list(zip(*errors[0], strict=True))
  values, masks = zip(*errors, strict=True)
  table['depth_median_rel'] = median_interval(values, masks, seed)
  sizes = [views.sizes[name] for views in clips]
  table['bytes'] = statistics.single(float(np.mean(sizes)), len(clips))
  return table


def panels(views: HeldOut) -> UInt8[np.ndarray, 'n h wide 3']:
  """Every held-out frame: target | each readout | error of the last one.

  Unclaimed pixels are dark grey; the error is the root of the mean square
  over channels, doubled.
  """
  columns = [np.asarray(views.target.rgb) / 255.0]
  for readout in views.readouts.values():
    rgb = np.clip(np.asarray(readout.rgb) * 0.5 + 0.5, 0, 1)
    columns.append(np.where(claims(readout)[..., None], rgb, UNKNOWN))
  error = 2 * np.sqrt(squared_errors(views, list(views.readouts)[-1]))
  columns.append(np.repeat(np.minimum(error, 1)[..., None], 3, axis=-1))
  gap = np.ones((*columns[0].shape[:2], GAP, 3))
  parts = [x for column in columns for x in (column, gap)][:-1]
  return np.round(255 * np.concatenate(parts, axis=2)).astype(np.uint8)


def contact_sheet(
  rows: UInt8[np.ndarray, 'n h wide 3'], most: int = 12, scale: int = 2
) -> UInt8[np.ndarray, 'tall wide2 3']:
  """At most `most` evenly spaced panels below each other, enlarged."""
  step = max(1, math.ceil(len(rows) / most))
  gap = np.full((GAP, *rows.shape[2:]), 255, np.uint8)
  parts = [x for row in rows[::step] for x in (row, gap)][:-1]
  sheet = np.concatenate(parts, axis=0)
  return sheet.repeat(scale, axis=0).repeat(scale, axis=1)
