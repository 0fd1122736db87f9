"""Generating a chunk of frames by integrating the flow."""

from typing import Any

import jax
import jax.numpy as jnp

from mirage_jax.arrays import Array, Float, Key
from mirage_jax.flow import Sampler, integrate, velocity_from_clean
from mirage_jax.geometry.cameras import Cameras
from mirage_jax.geometry.clips import Clip
from mirage_jax.memory.contract import Readout
from mirage_jax.models.mirage import Mirage, context_video, read_views
from mirage_jax.models.video import CHANNELS, Frames, frames_from_video


def generate_chunk(
  model: Mirage,
  params: Any,
  key: Key[Array, ''],
  context: Clip,
  cameras: Cameras,
  states: Any | None,
  sampler: Sampler,
) -> tuple[Frames, Readout | None]:
  """Generates the frames that `cameras` see.

  Args:
    model: the world model.
    params: its variables.
    key: of the noise.
    context: the window, `[b, c, ...]`.
    cameras: of the target frames, `[b, t]`.
    states: memories of the b scenes, or None.
    sampler: kind and number of steps; one network call a step and half-step.

  Returns:
    The frames `[b, t, ...]`, and what the memory showed of them.
  """
  b, t = cameras.intrinsics.shape[:2]
  h, w = context.depth_m.shape[-2:]
  readout = read_views(model, params, states, cameras, h, w)
  clean = jnp.zeros(context.time_s.shape)
  window = model.apply(
    params, context_video(context), clean, context.cameras, readout,
    method='watch',
  )  # fmt: skip

  def predict(x: Float[Array, 'b t h w 4'], level: Float[Array, '']):
    levels = jnp.full((b, t), level)
    return model.apply(params, x, levels, cameras, window, readout)

  def velocity(x, level):
    video = predict(x, level).video
    return velocity_from_clean(x, video, jnp.full((b, t), level))

  # The last step, from the last level to 0, lands on the prediction itself.
  times = sampler.times()
  noise = jax.random.normal(key, (b, t, h, w, CHANNELS))
  x = integrate(sampler.kind, velocity, noise, times[:-1])
  last = predict(x, times[-2])
  return frames_from_video(last.video, last.dynamic, last.sky), readout
