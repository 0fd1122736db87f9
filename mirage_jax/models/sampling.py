"""Generating a chunk of frames by integrating the flow."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from mirage_jax.arrays import Array, Float, Key
from mirage_jax.flow import Sampler, integrate, velocity_from_clean
from mirage_jax.geometry.cameras import Cameras
from mirage_jax.geometry.clips import Clip
from mirage_jax.memory.contract import Readout
from mirage_jax.models.codec import CHANNELS, Frames, frames_from_video
from mirage_jax.models.world_model import (
  Mirage,
  Prediction,
  Window,
  context_video,
  read_views,
)

Predict = Callable[[Array, Array], Prediction]


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

  predict = predictor(model, params, cameras, window, readout)
  noise = jax.random.normal(key, (b, t, h, w, CHANNELS))
  _, last = denoise(sampler.kind, predict, noise, sampler.times())
  return frames_from_video(last.video, last.dynamic, last.sky), readout


def predictor(
  model: Mirage,
  params: Any,
  cameras: Cameras,
  window: Window,
  readout: Readout | None,
) -> Predict:
  """`(x, level) -> Prediction` of a chunk.

  `x` is `[b, t, h, w, 4]`; its frames have one level, which is a number for
  all examples or `[b]`.
  """
  shape = cameras.intrinsics.shape[:2]

  def predict(x, level):
    levels = jnp.broadcast_to(jnp.reshape(level, (-1, 1)), shape)
    return model.apply(params, x, levels, cameras, window, readout)

  return predict


def denoise(
  kind: str,
  predict: Predict,
  x: Float[Array, 'b t h w 4'],
  times: Float[Array, 'steps_and_one *b'],
) -> tuple[Float[Array, 'b t h w 4'], Prediction]:
  """Integrates along all but the last interval, and predicts from there.

  A last step to level 0 lands on the prediction itself.

  Args:
    kind: of the sampler.
    predict: see `predictor`.
    x: where to start.
    times: descending levels, for all examples or for each.

  Returns:
    The sample at `times[-2]`, and what is predicted of it.
  """

  def velocity(x, level):
    return velocity_from_clean(x, predict(x, level).video, level)

  x = integrate(kind, velocity, x, times[:-1])
  return x, predict(x, times[-2])
