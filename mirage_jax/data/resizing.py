"""Clips brought to another resolution: cropped to its shape, then resized."""

import dataclasses

import numpy as np
from PIL import Image

from mirage_jax.arrays import Array
from mirage_jax.geometry.clips import Clip


def resize_clip(clip: Clip, height: int, width: int) -> Clip:
  """The clip `[t, ...]` at `height x width`, cameras adapted.

  The largest centred part with the new proportions is kept. Colours are
  averaged over the new pixel's area; depth and masks are taken at its centre.
  Object fields stay, except the per-pixel ids, which follow the masks.

  Raises:
    ValueError: a size below 1.
  """
  if min(height, width) < 1:
    raise ValueError(f'size {height} x {width}; expected 1 x 1 or more')
  rows, columns = clip.depth_m.shape[1:]
  if (rows, columns) == (height, width):
    return clip
  scale = min(rows / height, columns / width)
  size = np.array([scale * width, scale * height])  # of the crop, x and y
  start = (np.array([columns, rows]) - size) / 2
  full = np.array([columns, rows])
  lens = np.asarray(clip.intrinsics, np.float64)
  focal, centre = lens[:, :2] * full, lens[:, 2:] * full
  lens = np.concatenate([focal / size, (centre - start) / size], -1)

  def nearest(image: Array) -> np.ndarray:
    x = (start[0] + (np.arange(width) + 0.5) * scale).astype(int)
    y = (start[1] + (np.arange(height) + 0.5) * scale).astype(int)
    return np.asarray(image)[:, y][:, :, x]

  names = ('dynamic', 'sky', 'object_id')
  masks = {name: getattr(clip, name) for name in names}
  masks = {name: mask for name, mask in masks.items() if mask is not None}
  return dataclasses.replace(
    clip,
    rgb=_area(np.asarray(clip.rgb), start, size, height, width),
    depth_m=nearest(clip.depth_m),
    intrinsics=lens.astype(np.float32),
    **{name: nearest(mask) for name, mask in masks.items()},
  )


def _area(rgb, start, size, height, width) -> np.ndarray:
  box = (*start, *(start + size))
  frames = [
    Image.fromarray(x).resize((width, height), Image.Resampling.BOX, box=box)
    for x in rgb
  ]
  return np.stack([np.asarray(x) for x in frames])
