"""Clips written into a memory, for the suites that need no generator."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from mirage_jax.evaluation.references import static_depth
from mirage_jax.geometry.clips import Clip, take_frames
from mirage_jax.memory.contract import Memory, Readout

Write = Callable[[Any, Clip], Any]
Read = Callable[..., Readout]


def make_write(memory: Memory, generated: bool = False) -> Write:
  """A jitted `write(state, clip)` of observed colours; recompiles per shape.

  Movers and sky are not written; a memory that has `features` beyond rgb gets
  zeros there.
  """

  @jax.jit
  def write(state, cameras, depth_m, rgb, weight):
    observed = memory.observe(state, cameras, depth_m, rgb, weight, generated)
    return memory.write(state, observed)

  def write_clip(state: Any, clip: Clip) -> Any:
    depth_m = static_depth(clip)
    rgb = np.asarray(clip.rgb, np.float32) / 127.5 - 1
    more = getattr(memory, 'features', 3) - 3
    rgb = np.pad(rgb, [(0, 0)] * 3 + [(0, more)])
    cameras = jax.tree.map(jnp.asarray, clip.cameras)
    weight = (depth_m > 0).astype(np.float32)
    return write(state, cameras, depth_m, rgb, weight)

  return write_clip


def make_read(memory: Memory, height: int, width: int) -> Read:
  """A jitted `read(state, cameras)` at one resolution."""
  return jax.jit(
    lambda state, cameras: memory.read(state, cameras, height, width)
  )


def chunks_of(clip: Clip, frames: int) -> list[Clip]:
  """A clip cut into whole chunks of so many frames."""
  count = len(clip.rgb) // frames
  return [
    take_frames(clip, np.arange(i * frames, (i + 1) * frames))
    for i in range(count)
  ]
