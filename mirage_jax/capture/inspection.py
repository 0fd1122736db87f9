"""Is a recording what it claims to be? Poses, depth, and what comes back.

Pixels of a frame are carried by their depth and the two poses into a nearby
frame. If all is right, the depths agree there and the colours are alike. If
they would agree much better with other axes, with poses turned round, or with
lengths of another unit, then that is what is wrong.
"""

import dataclasses
from typing import Any

import numpy as np

from mirage_jax.arrays import Array, Bool, Float, Int
from mirage_jax.evaluation.reports import videos
from mirage_jax.geometry import cameras as pinhole
from mirage_jax.geometry.clips import Clip, take_frames

APART = 2  # frames between the two of a pair
PAIRS = 24
TOLERANCE = 0.05  # of depths that agree
COARSE = 12  # points along a side that tell how much two views share
SHARED = 0.5  # of a view that another must see, to see the same
LEFT = 0.2  # ... and that is seen by a frame that looks elsewhere
FAR_AWAY = 10.0  # times the usual step between frames is a jump
SCALES = (1e-3, 0.1, 0.25, 0.5, 2.0, 4.0, 10.0, 1e3)
BETTER = 0.15  # more of the pixels must agree to call it wrong
FLIP = np.diag([1.0, -1.0, -1.0, 1.0]).astype(np.float32)


@dataclasses.dataclass(frozen=True)
class Inspection:
  """Findings about a recording.

  Attributes:
    figures: by name.
    warnings: what a person should look at, each with the way out.
    pairs: `[n, 2]` frames that were compared.
    revisits: `[m, 2]` a frame, and an earlier one that sees the same, though
      frames between them look elsewhere.
  """

  figures: dict[str, float]
  warnings: list[str]
  pairs: Int[np.ndarray, 'n 2']
  revisits: Int[np.ndarray, 'm 2']


def inspect(clip: Clip) -> Inspection:
  """Looks at a recording `[t]`, best at some hundred pixels across."""
  poses = np.asarray(clip.world_from_camera, np.float64)
  figures, warnings = _steps(poses)
  depth = np.asarray(clip.depth_m)
  figures |= {
    'frames': len(depth),
    'depth_share': float((depth > 0).mean()),
    'depth_median_m': float(np.median(depth[depth > 0])) if depth.any() else 0,
  }
  pairs = find_pairs(len(depth))
  if not depth.any():
    warnings.append(
      'there is no depth: poses cannot be checked against it, and nothing '
      'enters a memory until depth is given'
    )
  elif len(pairs):
    found = compare(clip, pairs)
    figures |= found
    warnings += _doubts(clip, pairs, found)
  revisits = find_revisits(clip)
  figures['revisits'] = len(revisits)
  if not len(revisits):
    warnings.append(
      'no place is left and seen again: a model learns nothing of returning '
      'from this recording alone'
    )
  return Inspection(figures, warnings, pairs, revisits)


def find_pairs(frames: int) -> Int[np.ndarray, 'n 2']:
  """Pairs of nearby frames, spread over a recording."""
  count = max(0, min(PAIRS, frames - APART))
  first = np.unique(np.linspace(0, frames - 1 - APART, count).astype(int))
  return np.stack([first, first + APART], axis=1)


def compare(clip: Clip, pairs: Int[np.ndarray, 'n 2']) -> dict[str, float]:
  """Measures how well frames of pairs agree when one is carried into the other.

  Returns:
    `depth_agrees`: share of the pixels in view whose depths agree within 5 %;
    `in_view`: share of the pixels with depth that fall into the other frame;
    `colour_error_warped` and `colour_error_unwarped`: mean absolute
    difference of colours in [0, 1], carried, and at the same pixel.
  """
  seen, agree, warped, unwarped, total = 0, 0, [], [], 0
  for i, j in pairs:
    moved = warp(take_frames(clip, i), take_frames(clip, j))
    seen, total = seen + moved.inside.sum(), total + moved.known.sum()
    agree += moved.agrees.sum()
    if moved.agrees.any():
      warped.append(np.abs(moved.rgb - moved.there)[moved.agrees].mean())
      unwarped.append(np.abs(moved.rgb - moved.same)[moved.agrees].mean())
  nothing = float('nan')
  return {
    'depth_agrees': float(agree / seen) if seen else 0.0,
    'in_view': float(seen / total) if total else 0.0,
    'colour_error_warped': float(np.mean(warped)) if warped else nothing,
    'colour_error_unwarped': float(np.mean(unwarped)) if warped else nothing,
  }


@dataclasses.dataclass(frozen=True)
class Warp:
  """The pixels of one frame, carried into another; all `[h, w, ...]`.

  Attributes:
    known: has depth.
    inside: falls into the other frame, where that has depth.
    agrees: and the depths agree.
    rgb: its colour, [0, 1].
    there: the other frame's colour where it falls.
    same: the other frame's colour at the same pixel.
  """

  known: Bool[np.ndarray, 'h w']
  inside: Bool[np.ndarray, 'h w']
  agrees: Bool[np.ndarray, 'h w']
  rgb: Float[np.ndarray, 'h w 3']
  there: Float[np.ndarray, 'h w 3']
  same: Float[np.ndarray, 'h w 3']


def warp(frame: Clip, other: Clip) -> Warp:
  """Carries each pixel of a frame to where the other one should see it."""
  depth = np.asarray(frame.depth_m)
  height, width = depth.shape
  points = np.asarray(pinhole.unproject(frame.cameras, depth)).reshape(-1, 3)
  uv, z = (np.asarray(x) for x in pinhole.project(other.cameras, points))
  column, row = np.floor(uv * [width, height]).astype(int).T
  known = depth.reshape(-1) > 0
  inside = known & (z > 1e-3) & (row >= 0) & (row < height)
  inside &= (column >= 0) & (column < width)
  at = np.clip(row, 0, height - 1), np.clip(column, 0, width - 1)
  here = np.asarray(other.depth_m)[at]
  inside &= here > 0
  agrees = inside & (np.abs(z - here) <= TOLERANCE * here)
  rgb, same = (np.asarray(x.rgb, np.float32) / 255 for x in (frame, other))
  image = lambda x: x.reshape(height, width, *x.shape[1:])
  there = _between(same, uv)
  return Warp(
    image(known), image(inside), image(agrees), rgb, image(there), same
  )


def _between(
  picture: Float[np.ndarray, 'h w c'], uv: Float[np.ndarray, 'p 2']
) -> Float[np.ndarray, 'p c']:
  """Bilinear values of a picture; those of its border beyond it."""
  height, width = picture.shape[:2]
  at = np.clip(uv * [width, height] - 0.5, 0, [width - 1, height - 1])
  low = np.minimum(at.astype(int), [max(width - 2, 0), max(height - 2, 0)])
  (x, y), (u, v) = low.T, (at - low).T[..., None]
  right, below = np.minimum(x + 1, width - 1), np.minimum(y + 1, height - 1)
  top = picture[y, x] * (1 - u) + picture[y, right] * u
  bottom = picture[below, x] * (1 - u) + picture[below, right] * u
  return top * (1 - v) + bottom * v


def find_revisits(clip: Clip) -> Int[np.ndarray, 'm 2']:
  """For each frame the earliest one that sees the same, with a leave between.

  Without depth, things are taken to be as far away as the cameras are apart.
  """
  overlap = overlaps(clip)
  both = np.minimum(overlap, overlap.T)
  pairs = []
  for late in range(len(both)):
    for early in np.flatnonzero(both[late, :late] >= SHARED):
      if (both[late, early:late] < LEFT).any():
        pairs.append((late, int(early)))
        break
  return np.array(pairs, int).reshape(-1, 2)


def overlaps(clip: Clip) -> Float[np.ndarray, 't t']:
  """The share of each frame's view that falls into each other frame."""
  depth = np.asarray(clip.depth_m)
  rows, columns = (
    np.linspace(0, n - 1, COARSE).astype(int) for n in depth.shape[1:]
  )
  depth = depth[:, rows][:, :, columns]
  position = np.asarray(clip.world_from_camera)[:, :3, 3]
  extent = float(np.linalg.norm(np.ptp(position, axis=0)))
  usual = np.median(depth[depth > 0]) if depth.any() else extent or 1.0
  depth = np.where(depth > 0, depth, usual).astype(np.float32)
  points = np.asarray(pinhole.unproject(clip.cameras, depth))
  flat = points.reshape(-1, 3)
  found = []
  for i in range(len(depth)):
    uv, z = pinhole.project(take_frames(clip, i).cameras, flat)
    inside = np.asarray(pinhole.in_view(uv, z)).reshape(len(depth), -1)
    found.append(inside.mean(1))
  return np.stack(found, axis=1)  # [of frame t, in frame t]


def _steps(
  poses: Float[np.ndarray, 't 4 4'],
) -> tuple[dict[str, float], list[str]]:
  """Measures how the camera moves from frame to frame."""
  position = poses[:, :3, 3]
  steps = np.linalg.norm(np.diff(position, axis=0), axis=1)
  turns = np.einsum('tji,tjk->tik', poses[:-1, :3, :3], poses[1:, :3, :3])
  cosine = (np.trace(turns, axis1=1, axis2=2) - 1) / 2
  angles = np.degrees(np.arccos(np.clip(cosine, -1, 1)))
  usual = float(np.median(steps)) if len(steps) else 0.0
  figures = {
    'step_median_m': usual,
    'step_largest_m': float(steps.max(initial=0)),
    'turn_median_deg': float(np.median(angles)) if len(angles) else 0.0,
    'turn_largest_deg': float(angles.max(initial=0)),
    'extent_m': float(np.linalg.norm(np.ptp(position, axis=0))),
  }
  warnings = []
  jumps = np.flatnonzero((steps > FAR_AWAY * max(usual, 1e-3)) | (angles > 60))
  if len(jumps):
    warnings.append(
      f'the camera jumps after {len(jumps)} frames (first: {jumps[0]}, '
      f'{steps[jumps[0]]:.2f} m and {angles[jumps[0]]:.0f} degrees); is it cut '
      'from several recordings, or are poses wrong there?'
    )
  if len(steps) and steps.max() < 1e-6 and angles.max() < 1e-3:
    warnings.append('the camera never moves; are the poses missing?')
  return figures, warnings


def _doubts(
  clip: Clip, pairs: Int[np.ndarray, 'n 2'], found: dict[str, float]
) -> list[str]:
  """Lists changes that would make the pairs agree much better."""
  best, advice = found['depth_agrees'] * found['in_view'], ''
  for name, other in _otherwise(clip):
    score = compare(other, pairs)
    value = score['depth_agrees'] * score['in_view']
    if value > best + BETTER:
      best, advice = value, name
  warnings = []
  if advice:
    warnings.append(
      f'frames would agree far better {advice} ({best:.0%} of the pixels '
      f'instead of {found["depth_agrees"] * found["in_view"]:.0%})'
    )
  elif found['depth_agrees'] < SHARED:
    warnings.append(
      f'only {found["depth_agrees"]:.0%} of the pixels agree in depth with a '
      'nearby frame; poses, intrinsics or depth are off, or much is moving'
    )
  return warnings


def _otherwise(clip: Clip) -> list[tuple[str, Clip]]:
  """The recording under other conventions, and how to get there."""
  poses = np.asarray(clip.world_from_camera)
  turned = np.linalg.inv(poses @ FLIP)  # as in the file, the other way round
  same: dict[str, Array] = {
    'if its poses had OpenCV axes: turn y and z of each camera': poses @ FLIP,
    'if its poses were world-to-camera: invert them': turned @ FLIP,
    'if its poses were world-to-camera with OpenCV axes: invert them, and turn '
    'y and z of each camera': turned,
  }
  found = [
    (name, dataclasses.replace(clip, world_from_camera=x.astype(np.float32)))
    for name, x in same.items()
  ]
  for scale in SCALES:
    depth = np.asarray(clip.depth_m) * np.float32(scale)
    found.append(
      (
        f'if its depth were x {scale:g}: change depth_unit_scale_factor',
        dataclasses.replace(clip, depth_m=depth),
      )
    )
  return found


def figures_table(found: Inspection) -> list[str]:
  """The figures and warnings as Markdown."""
  lines = ['| | |', '|---|---|']
  for name, value in found.figures.items():
    lines.append(f'| {name.replace("_", " ")} | {_say(value)} |')
  lines += ['']
  lines += [f'- {warning}' for warning in found.warnings] or ['Nothing is odd.']
  return lines


def _say(value: Any) -> str:
  return str(value) if isinstance(value, int) else f'{value:.3g}'


def picture(clip: Clip, found: Inspection, most: int = 6) -> np.ndarray:
  """A contact sheet `[_, _, 3]` of pairs, for a person to look at.

  A row each: the frame, its depth, the frame it is carried to, and what
  arrives there: grey where the depths disagree.
  """
  known = np.asarray(clip.depth_m)[np.asarray(clip.depth_m) > 0]
  far_m = float(np.percentile(known, 95)) if known.size else 5.0
  rows = []
  for i, j in found.pairs[:: max(1, len(found.pairs) // most)][:most]:
    frame, other = take_frames(clip, i), take_frames(clip, j)
    moved = warp(frame, other)
    arrives = np.where(moved.agrees[..., None], moved.there, 0.25)
    panels = {
      f'frame {i}': frame.rgb,
      'its depth': videos.paint_depth(np.asarray(frame.depth_m)[None], far_m)[
        0
      ],
      f'frame {j}': other.rgb,
      f'frame {j}, seen from {i}': np.round(arrives * 255).astype(np.uint8),
    }
    rows.append(
      videos.beside(
        [
          videos.label(videos.enlarge(np.asarray(x)[None]), text)
          for text, x in panels.items()
        ]
      )
    )
  return np.asarray(videos.below(rows)[0])
