"""Videos and contact sheets: panels side by side, labelled, written atomically.

Frames are `[t, h, w, 3]` uint8. Small ones are enlarged by whole factors, so
that a pixel stays a square.
"""

import os
from collections.abc import Mapping, Sequence

import imageio_ffmpeg
import matplotlib
import mediapy
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from mirage_jax.arrays import Array, Float, UInt8
from mirage_jax.evaluation.closed_loop import Example
from mirage_jax.evaluation.metrics.image import unit_rgb
from mirage_jax.evaluation.rollouts import Rollout
from mirage_jax.evaluation.suites.readout_views import claims
from mirage_jax.geometry.clips import Clip
from mirage_jax.io import replaced
from mirage_jax.memory.contract import Readout

Frames = UInt8[Array, 't _ _ 3']
PANEL = 256
BAND = 20  # height of a label, pixels
TARGET = 'target'


def to_bytes(rgb: Array) -> np.ndarray:
  """Colours as uint8 (floats are in [-1, 1])."""
  return np.asarray(np.round(np.asarray(unit_rgb(rgb)) * 255), np.uint8)


def paint_depth(depth_m: Float[Array, 't h w'], far_m: float) -> Frames:
  """Depth as colours, near = red, far = blue, none = black."""
  depth_m = np.asarray(depth_m)
  near = 1 / (1 + depth_m / (0.25 * far_m))
  picture = matplotlib.colormaps['turbo'](near)[..., :3]
  picture = np.where(depth_m[..., None] > 0, picture, 0.0)
  return np.round(picture * 255).astype(np.uint8)


def enlarge(frames: Frames, size: int = PANEL) -> Frames:
  """Frames enlarged by the largest whole factor that keeps them in `size`."""
  factor = max(1, size // max(frames.shape[1:3]))
  return np.repeat(np.repeat(frames, factor, axis=1), factor, axis=2)


def label(frames: Frames, texts: Sequence[str] | str) -> Frames:
  """Adds a band with a text above every frame."""
  texts = [texts] * len(frames) if isinstance(texts, str) else texts
  font = ImageFont.load_default(size=12)
  bands = {}
  for text in set(texts):
    band = Image.new('RGB', (frames.shape[2], BAND), (24, 24, 24))
    ImageDraw.Draw(band).text((4, 2), text, (235, 235, 235), font=font)
    bands[text] = np.asarray(band)
  return np.concatenate([np.stack([bands[x] for x in texts]), frames], axis=1)


def beside(panels: Sequence[Frames], gap: int = 4) -> Frames:
  """Panels of one height in a row, with dark gaps."""
  t, height = panels[0].shape[:2]
  space = np.full((t, height, gap, 3), 24, np.uint8)
  parts = [x for panel in panels for x in (panel, space)][:-1]
  return np.concatenate(parts, axis=2)


def below(rows: Sequence[Frames]) -> Frames:
  """Videos of one width below each other."""
  return np.concatenate(list(rows), axis=1)


def example_rows(
  example: Example, names: Sequence[str], titles: Mapping[str, str]
) -> dict[str, Frames]:
  """`target | generated | memory readout | depth` of each named player.

  The observed frames come first; there the generated panel shows them too.
  """
  truth, given = example.truth, example.observed
  known = truth.depth_m[truth.depth_m > 0]
  far_m = float(np.percentile(known, 95)) if known.size else 5.0
  total = len(truth.time_s)
  step = [
    f'{i + 1}/{total} ' + ('observed' if i < given else 'generated')
    for i in range(total)
  ]
  rows = {}
  for name in names:
    rollout = example.rollouts[name]
    made = np.concatenate([truth.rgb[:given], rollout.clip.rgb])
    depth = np.concatenate([truth.depth_m[:given], rollout.clip.depth_m])
    panels = {
      TARGET: [f'{TARGET}  {x}' for x in step],
      'generated': titles.get(name, name),
      'memory readout': 'memory readout' if rollout.readout else 'no memory',
      'depth': 'generated depth',
    }
    frames = (
      truth.rgb,
      made,
      _shown(rollout, truth),
      paint_depth(depth, far_m),
    )
    rows[name] = beside(
      [
        label(enlarge(to_bytes(x)), text)
        for x, text in zip(frames, panels.values(), strict=True)
      ]
    )
  return rows


def players_sheet(
  example: Example, names: Sequence[str], columns: int = 8, size: int = 128
) -> UInt8[Array, '_ _ 3']:
  """A row for the truth and for each named player, a column for some frames.

  The first column is the last frame that was observed.
  """
  truth, given = example.truth, example.observed
  shown = np.linspace(given - 1, len(truth.time_s) - 1, columns).round()
  at = shown.astype(int)
  steps = [f'{i + 1}' + (' observed' if i < given else '') for i in at]
  rows = []
  for name in [TARGET, *names]:
    rgb = truth.rgb
    if name != TARGET:
      rgb = np.concatenate([rgb[:given], example.rollouts[name].clip.rgb])
    texts = steps if name == TARGET else [name, *[''] * (columns - 1)]
    frames = label(enlarge(to_bytes(rgb)[at], size), texts)
    rows.append(beside(list(frames[:, None])))
  return below(rows)[0]


def readout_panels(readout: Readout, truth: Clip | None = None) -> Frames:
  """`target | memory | depth | confidence` of views `[t]`, labelled.

  Dark is what the memory does not claim to know; confidence goes from 0,
  black, to 1, white. Without `truth` there is no target.
  """
  rgb, depth_m = np.asarray(readout.rgb), np.asarray(readout.depth_m)
  claimed = claims(readout)
  known = depth_m[claimed]
  far_m = float(np.percentile(known, 95)) if known.size else 5.0
  sure = np.round(255 * np.asarray(readout.confidence)).astype(np.uint8)
  panels = {} if truth is None else {TARGET: to_bytes(truth.rgb)}
  panels |= {
    'memory': to_bytes(np.where(claimed[..., None], rgb, -1.0)),
    'depth': paint_depth(np.where(claimed, depth_m, 0.0), far_m),
    'confidence': np.repeat(sure[..., None], 3, axis=-1),
  }
  return beside([label(enlarge(x), text) for text, x in panels.items()])


def _shown(rollout: Rollout, truth: Clip) -> np.ndarray:
  """Pictures of a readout, dark where it knows nothing; `[s, h, w, 3]`."""
  frames = np.zeros(truth.rgb.shape, np.uint8)
  if rollout.readout is not None:
    readout = rollout.readout
    rgb = np.asarray(unit_rgb(readout.rgb)) * readout.opacity[..., None]
    frames[-len(rgb) :] = np.round(rgb * 255)
  return frames


def write_video(
  path: str | os.PathLike, frames: Frames, fps: float = 8.0
) -> None:
  """Writes an mp4 (H.264); sides are cut to even numbers.

  Raises:
    OSError: it cannot be written.
  """
  frames = np.asarray(frames)
  height, width = (x // 2 * 2 for x in frames.shape[1:3])
  mediapy.set_ffmpeg(imageio_ffmpeg.get_ffmpeg_exe())
  with replaced(path) as temporary:
    try:
      mediapy.write_video(
        temporary, frames[:, :height, :width], fps=fps, crf=18
      )
    except (RuntimeError, BrokenPipeError) as error:
      reason = ' '.join(str(error).split())[-200:]
      raise OSError(
        f'{path}: the video cannot be written ({reason}); check '
        'permissions, and that there is free space'
      ) from None


def write_picture(path: str | os.PathLike, picture: UInt8[Array, 'h w 3']):
  """Writes a PNG."""
  with replaced(path) as temporary:
    Image.fromarray(np.asarray(picture)).save(temporary, format='png')


def contact_sheet(
  frames: Frames, count: int = 8, columns: int = 1
) -> UInt8[Array, '_ _ 3']:
  """Evenly spaced frames of a video in rows, read from left to right."""
  count = min(count, len(frames))
  index = np.linspace(0, len(frames) - 1, count).round().astype(int)
  index = np.pad(index, (0, -count % columns), mode='edge')
  cells = np.asarray(frames)[index, None]
  starts = range(0, len(cells), columns)
  rows = [beside(list(cells[i : i + columns])) for i in starts]
  return np.concatenate(rows, axis=1)[0]
