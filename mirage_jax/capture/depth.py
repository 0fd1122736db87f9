"""Depth for a capture that has none, and how far it can be trusted.

A radiance field is fitted to seven eighths of the photos and judged by the
others; then it goes on with all of them, and gives each its depth.
"""

import dataclasses

import jax
import numpy as np

from mirage_jax.arrays import Float
from mirage_jax.capture import nerf_fit
from mirage_jax.capture.nerf_field import Layout
from mirage_jax.capture.nerf_fit import View
from mirage_jax.evaluation.metrics import image
from mirage_jax.evaluation.reports import videos
from mirage_jax.geometry.clips import Clip, take_frames
from mirage_jax.progress import Progress

APART = 8  # every so many frames one is held out
FEWEST = 4  # frames that a fit needs
MORE = 4  # a fourth of the steps is made again, with all photos


@dataclasses.dataclass(frozen=True)
class FittedDepth:
  """Depth of a clip's frames.

  Attributes:
    depth: `[t, h, w]` z-depth in units of the poses, 0 where not known.
    figures: by name.
    picture: `[_, _, 3]` held-out photos, as the field shows them before it
      has seen them, and their depth.
  """

  depth: Float[np.ndarray, 't h w']
  figures: dict[str, int | float]
  picture: np.ndarray


def fit_depth(
  clip: Clip, steps: int, seed: int = 0, layout: Layout | None = None
) -> FittedDepth:
  """Fits a field to a clip's photos and reads their depth.

  Args:
    clip: photos `[t]`, best of some hundred pixels across.
    steps: of the fit on seven eighths of them.
    seed: of what is drawn.
    layout: of the field.

  Raises:
    ValueError: too few photos, or all from one place.
  """
  frames = len(clip.rgb)
  if frames < FEWEST:
    raise ValueError(
      f'{frames} frames have no depth, and are too few to fit it; expected '
      f'{FEWEST} or more (--fit_steps=0 leaves depth out)'
    )
  layout = Layout() if layout is None else layout
  scene = nerf_fit.find_scene(clip.cameras)
  held = np.arange(frames) % APART == APART // 2
  more = steps // MORE
  progress = Progress('fit depth: steps', steps + more)
  key_start, key = jax.random.split(jax.random.key(seed))

  def go_on(fit, which, count):
    some = take_frames(clip, np.flatnonzero(which))
    photos = nerf_fit.Photos(some.rgb, some.cameras)
    return nerf_fit.advance(
      fit, layout, photos, scene, key, steps=count, until=steps,
      report=lambda steps, _: progress.advance(steps),
    )  # fmt: skip

  fit = go_on(nerf_fit.start(layout, key_start), ~held, steps)
  before = _views(fit, layout, scene, take_frames(clip, np.flatnonzero(held)))
  fit = go_on(fit, held | ~held, more)
  after = _views(fit, layout, scene, clip)
  depth = np.stack([view.sure_depth for view in after])
  target = take_frames(clip, np.flatnonzero(held))
  figures = {
    'fit_steps': steps,
    'fit_height': depth.shape[1],
    'fit_width': depth.shape[2],
    'held_out_psnr_db': score(before, target),
    'seen_psnr_db': score(after, clip),
  }
  return FittedDepth(depth, figures, picture(before, target))


def score(views: list[View], clip: Clip) -> float:
  """Mean PSNR of views of a clip's cameras, dB."""
  rgb = np.clip(np.stack([view.rgb for view in views]), 0, 1)
  return float(np.mean(image.psnr(rgb, image.unit_rgb(clip.rgb))))


def picture(views: list[View], clip: Clip, most: int = 6) -> np.ndarray:
  """Photos, what the field shows of them, and its depth, in rows."""
  far = float(np.percentile([view.depth for view in views], 95))
  rows = []
  for i in range(0, len(views), -(-len(views) // most)):
    shown = np.round(255 * np.clip(views[i].rgb, 0, 1)).astype(np.uint8)
    panels = {
      'held-out photo': np.asarray(clip.rgb[i]),
      'fitted': shown,
      'its depth': videos.paint_depth(views[i].sure_depth[None], far)[0],
    }
    rows.append(
      videos.beside(
        [
          videos.label(videos.enlarge(x[None]), text)
          for text, x in panels.items()
        ]
      )
    )
  return np.asarray(videos.below(rows)[0])


def _views(fit, layout, scene, clip: Clip) -> list[View]:
  """Renders the field's views of a clip's cameras."""
  height, width = clip.rgb.shape[1:3]
  progress = Progress('fit depth: views', len(clip.rgb))
  views = []
  for i in range(len(clip.rgb)):
    camera = take_frames(clip, i).cameras
    views.append(nerf_fit.view(fit, layout, camera, scene, height, width))
    progress.advance()
  return views
