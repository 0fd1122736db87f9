"""Clips written into a memory, for the suites that need no generator."""

from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import numpy as np

from mirage_jax.arrays import Bool, Float
from mirage_jax.data.sources import catalog
from mirage_jax.evaluation.baselines.readouts import static_depth
from mirage_jax.geometry.cameras import Cameras
from mirage_jax.geometry.clips import Clip, take_frames
from mirage_jax.geometry.completion import complete_depth
from mirage_jax.memory.contract import (
  Memory,
  Observed,
  Readout,
  Views,
  learned,
)

CHUNK = 4  # frames
FILLED_WEIGHT = 0.3  # of a pixel whose depth is a guess

Write = Callable[[Any, Clip], Any]
Read = Callable[..., Readout]


def make_write(
  memory: Memory, generated: bool = False, layers: nn.Module | None = None
) -> Write:
  """A jitted `write(state, clip)` of observed colours; recompiles per shape.

  Movers and sky are not written. Where the sensor gave no depth it is guessed
  from the pixels round about, at a low weight. A memory that has `features`
  beyond rgb gets zeros there; one that learns takes its bound `layers`.
  """

  @jax.jit
  def write(state, observed: Observed):
    observation = memory.observe(state, observed)
    return memory.write(state, observation, **learned(layers))

  def write_clip(state: Any, clip: Clip) -> Any:
    depth_m, weight = written_depth(clip)
    rgb = np.asarray(clip.rgb, np.float32) / 127.5 - 1
    rgb = np.pad(rgb, [(0, 0)] * 3 + [(0, memory.features - 3)])
    mover = np.zeros_like(weight)
    if clip.dynamic is not None:
      mover = np.asarray(clip.dynamic, np.float32)
    observed = Observed(
      clip.cameras,
      clip.time_s,
      depth_m,
      rgb,
      weight,
      mover,
      clip.object_id,
      generated,
    )
    return write(state, observed)

  return write_clip


def written_depth(
  clip: Clip,
) -> tuple[Float[np.ndarray, 't h w'], Float[np.ndarray, 't h w']]:
  """Depth of static pixels, holes filled, and the weight of each pixel."""
  measured = static_depth(clip)
  depth_m = np.where(unwritten(clip), 0, complete_depth(measured))
  weight = np.where(measured > 0, 1, FILLED_WEIGHT) * (depth_m > 0)
  return depth_m.astype(np.float32), weight.astype(np.float32)


def unwritten(clip: Clip) -> Bool[np.ndarray, 't h w']:
  """Pixels of movers and of the sky."""
  mask = np.zeros(np.shape(clip.depth_m), bool)
  for part in (clip.dynamic, clip.sky):
    mask = mask if part is None else mask | np.asarray(part)
  return mask


def make_read(
  memory: Memory, height: int, width: int, layers: nn.Module | None = None
) -> Read:
  """A jitted `read(state, cameras)` at one resolution."""

  @jax.jit
  def read(state, cameras: Cameras):
    views = Views.still(cameras, height, width)
    return memory.read(state, views, **learned(layers))

  return read


def open_walks(
  source: str,
  frames: int,
  count: int,
  seed: int,
  size: tuple[int, int] | None = None,
) -> list[list[Clip]]:
  """Long walks, each cut into chunks of `CHUNK` frames to write one by one.

  Args:
    source: worlds are rendered along random walks without movers; of a
      recording, every clip is taken as long as it is.
    frames: of a rendered walk.
    count: most walks that are wanted.
    seed: of the worlds.
    size: height and width of a frame; None for the source's own.

  Raises:
    ValueError: an unknown source, or a recording of fewer than three chunks.
  """
  options = {} if size is None else {'height': size[0], 'width': size[1]}
  traits = catalog.traits_of(source)
  if traits.makes_clips:
    options |= {'frames': frames, 'clips': count, 'seed': seed, 'split': 'test'}
  if traits.renders_any_path:
    options |= {'paths': ('random_walk',), 'movers': False, 'cache': False}
  clips = catalog.open_source(source, **options)
  walks = [chunks_of(clips[i], CHUNK) for i in range(min(count, len(clips)))]
  if not walks or min(map(len, walks)) < 3:
    raise ValueError(
      f'{source} has clips of fewer than {3 * CHUNK} frames, which are too few '
      'to write one after the other; give a longer recording, or rooms'
    )
  return walks


def chunks_of(clip: Clip, frames: int) -> list[Clip]:
  """A clip cut into whole chunks of so many frames."""
  count = len(clip.rgb) // frames
  return [
    take_frames(clip, np.arange(i * frames, (i + 1) * frames))
    for i in range(count)
  ]
