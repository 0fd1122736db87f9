"""The readout suite: write part of a clip, read the views that were held out.

Every eighth frame (entries 4, 12, 20, ... of the source) is held out; all
others are written, at the resolution that is read. `readout_views` says how
the views are judged.
"""

import functools
import pathlib
from collections.abc import Callable, Iterator, Mapping

import jax
import jax.numpy as jnp
import numpy as np

from mirage_jax.arrays import Int
from mirage_jax.data.readers import folders
from mirage_jax.data.sources import catalog
from mirage_jax.evaluation import writing
from mirage_jax.evaluation.baselines import readouts
from mirage_jax.evaluation.entrants import Entrant
from mirage_jax.evaluation.memories import MEMORIES, memories_of
from mirage_jax.evaluation.reports import tables, videos
from mirage_jax.evaluation.reports.tables import Table
from mirage_jax.evaluation.suite import Setting, Suite
from mirage_jax.evaluation.suites.readout_views import (
  CLOUD,
  HeldOut,
  contact_sheet,
  panels,
  score,
)
from mirage_jax.geometry.cameras import Cameras
from mirage_jax.geometry.clips import Clip, take_frames
from mirage_jax.memory.contract import Memory, Readout
from mirage_jax.progress import Progress

EVERY, FIRST = 8, 4
FRAMES_AT_ONCE = 4
VIEWS_AT_ONCE = 4
READ_WIDTH = 160
SCENES = 16  # of worlds, at most

# A method writes a clip and reads cameras at (height, width); it returns the
# readout `[n, h, w, ...]` and the bytes it keeps.
Method = Callable[[Clip, Cameras, int, int], tuple[Readout, int]]

BASELINES: Mapping[str, Method] = {
  'nearest_warp': readouts.nearest_warp,
  CLOUD: readouts.point_cloud,
}


def hold_out(clip: Clip, index: Int[np.ndarray, 't']) -> tuple[Clip, Clip]:
  """The written and the held-out frames of a clip.

  Args:
    clip: `[t, ...]`.
    index: the place of each frame among the entries of its source.

  Raises:
    ValueError: when nothing is left to hold out, or no frame has depth.
  """
  held = np.asarray(index) % EVERY == FIRST
  if not held.any() or held.all():
    raise ValueError(
      f'readout holds out entries {FIRST}, {FIRST + EVERY}, ...; got '
      f'{len(held)} frames; give a clip of at least {FIRST + 1} frames'
    )
  if not (np.asarray(clip.depth_m) > 0).any():
    raise ValueError(
      'readout needs depth, and no frame has any; give a source with '
      'depth images (depth_file_path in transforms.json)'
    )
  where = np.flatnonzero
  return take_frames(clip, where(~held)), take_frames(clip, where(held))


def read_clip(
  clip: Clip,
  index: Int[np.ndarray, 't'],
  methods: Mapping[str, Method],
  progress: Progress,
) -> HeldOut:
  """Writes and reads one clip by every method."""
  written, target = hold_out(clip, index)
  height, width = target.depth_m.shape[-2:]
  readouts, sizes = {}, {}
  for name, method in methods.items():
    readout, sizes[name] = method(written, target.cameras, height, width)
    readouts[name] = jax.tree.map(np.asarray, readout)
    progress.advance()
  mean_rgb = np.asarray(written.rgb).reshape(-1, 3).mean(0) / 255
  return HeldOut(target, readouts, sizes, mean_rgb)


def memory_method(memory: Memory) -> Method:
  """Writes frames in batches into `memory`, then reads view after view.

  The scene's frame is that of the first written camera; pixels of movers and
  of the sky are not written.
  """
  write = writing.make_write(memory)
  make_read = functools.cache(functools.partial(writing.make_read, memory))

  def method(clip: Clip, cameras: Cameras, height: int, width: int):
    read = make_read(height, width)
    state = memory.init(jnp.asarray(clip.world_from_camera[0]))
    for i in range(0, len(clip.rgb), FRAMES_AT_ONCE):
      part = np.arange(i, min(i + FRAMES_AT_ONCE, len(clip.rgb)))
      some = take_frames(clip, part)
      state = memory.reserve(state, some.depth_m.size)
      state = write(state, some)
    views = []
    count = len(cameras.intrinsics)
    for i in range(0, count, VIEWS_AT_ONCE):
      # The last batch repeats its last view, so that all have one shape.
      at = np.minimum(np.arange(i, i + VIEWS_AT_ONCE), count - 1)
      asked = jax.tree.map(lambda x, at=at: jnp.asarray(x)[at], cameras)
      views.append(jax.tree.map(np.asarray, read(state, asked)))
    readout = jax.tree.map(lambda *x: np.concatenate(x)[:count], *views)
    return readout, memory.num_bytes(state)

  return method


def open_clips(
  source: str, stride: int | None, scenes: int, seed: int
) -> tuple[int, Iterator[tuple[Clip, Int[np.ndarray, 't']]]]:
  """Counts the clips, and opens each with its frames' places in the source.

  A folder is one clip at `stride` (None: 2, or what brings the width to at
  most `READ_WIDTH` pixels); worlds give `scenes` clips of their test split, and
  recorded episodes at most as many.
  """
  traits = catalog.traits_of(source)
  if traits.makes_clips or traits.has_episodes:
    options = {}
    if traits.makes_clips:
      options = dict(clips=scenes, seed=seed, split='test', cache=False)
    clips = catalog.open_source(source, **options)
    count = min(scenes, len(clips))
    each = (clips[i] for i in range(count))
    return count, ((clip, np.arange(len(clip.rgb))) for clip in each)
  if stride is None:
    stride = 2
    width = folders.read_folder(source).clip.rgb.shape[2]
    while width // stride > READ_WIDTH:
      stride += 1
  return 1, iter([folders.read_folder(source, stride=stride)])


def run(
  source: str,
  memories: Mapping[str, Memory] = MEMORIES,
  *,
  stride: int | None = None,
  scenes: int = 16,
  seed: int = 0,
) -> tuple[dict, list[HeldOut]]:
  """Reads what was held out of a folder, or of generated test worlds.

  Args:
    source: 'rooms', 'streets', a folder with a `transforms.json`, or an `.npz`.
    memories: by name, beside the baselines.
    stride: downsampling of a folder; None for 2, or more for large images.
    scenes: how many test scenes of a world.
    seed: of the worlds and of the bootstrap.

  Returns:
    `{name: {metric: interval}}`, and the views for pictures.

  Raises:
    ValueError: too few frames, or no depth.
    FileNotFoundError: no such folder.
  """
  methods = dict(BASELINES)
  methods |= {k: memory_method(v) for k, v in memories.items()}
  clips = []
  count, opened = open_clips(source, stride, scenes, seed)
  progress = Progress('readout', count * len(methods))
  for clip, index in opened:
    clips.append(read_clip(clip, index, methods, progress))
  return score(clips, seed), clips


def evaluate(
  setting: Setting, entrants: Mapping[str, Entrant], folder: pathlib.Path
) -> Table:
  """Reads held-out frames from memories; needs no generator."""
  table, held_out = run(
    setting.source,
    memories_of(entrants),
    stride=setting.stride,
    scenes=min(setting.episodes, SCENES),
    seed=setting.seed,
  )
  rows = panels(held_out[0])
  videos.write_picture(folder / 'plots/readout.png', contact_sheet(rows))
  video = videos.enlarge(rows, 1200)
  videos.write_video(folder / 'videos/readout.mp4', video, fps=4)
  for metric in ('psnr_db', 'psnr_all_db', 'coverage'):
    tables.plot_scores(folder / f'plots/readout_{metric}.png', table, metric)
  return table


SUITE = Suite(
  name='readout',
  question='What does a memory show of held-out frames?',
  main=('psnr_all_db', 'coverage'),
  run=evaluate,
)
