"""Scores of generated frames against the true ones.

Of each episode: PSNR is of the mean squared error over all counted pixels of
all frames; LPIPS and SSIM are means over the counted frames. A *returned frame*
has at least `RETURNED_SHARE` of its static pixels returned (see `visibility`);
`..._lpips` and `..._ssim` are of these whole frames. `..._region_lpips` is of
all frames with at least `REGION_SHARE` such pixels, all others replaced by the
ground truth; `..._region_kid` and `..._region_frechet` are distances between
the set of these (of every fourth frame) and that of the true frames.
"""

from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np

from mirage_jax.arrays import Bool
from mirage_jax.evaluation.closed_loop import Curve, Played
from mirage_jax.evaluation.metrics import image, perceptual, visibility
from mirage_jax.evaluation.metrics.feature_sets import FeatureSets
from mirage_jax.geometry.clips import Clip
from mirage_jax.memory.contract import Readout

RETURNED_SHARE = 0.5
REGION_SHARE = 0.1
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
  """Scores the memory alone on the pixels of `mask`, before generating.

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


def psnr_by_frame(errors: Mapping[str, list[np.ndarray]]) -> Curve:
  """PSNR of each generated frame, from `[b, t]` squared errors by player."""
  curves = {}
  for name, parts in errors.items():
    mean = np.concatenate(parts).mean(0)
    x = np.arange(1, len(mean) + 1)
    curves[name] = x, np.asarray(image.psnr_db(jnp.asarray(mean)))
  return Curve('psnr_db', 'generated frame', curves)


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
