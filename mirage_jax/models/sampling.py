"""Generates a chunk of frames by integrating the flow."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from mirage_jax.arrays import Array, Float, Key
from mirage_jax.flow import Sampler, integrate, velocity_from_clean
from mirage_jax.geometry.cameras import Cameras
from mirage_jax.geometry.clips import Clip
from mirage_jax.memory.contract import Readout
from mirage_jax.models.codec import Frames
from mirage_jax.models.conditioning import Conditioning
from mirage_jax.models.scenes import read_views
from mirage_jax.models.world_model import Prediction, WorldModel

Predict = Callable[[Array, Array], Prediction]


def generate_chunk(
  model: WorldModel,
  params: Any,
  key: Key[Array, '*b'],
  context: Clip,
  cameras: Cameras,
  states: Any | None,
  sampler: Sampler,
  action: Float[Array, 'b t a'] | None = None,
) -> tuple[Frames, Readout | None]:
  """Generates the frames of `cameras`.

  Args:
    model: the world model.
    params: its variables.
    key: of the noise: one for all examples, or `[b]`, one for each.
    context: frames `[b, c]` before the chunk.
    cameras: of the chunk, `[b, t]`.
    states: memories of the b scenes, or None.
    sampler: kind and number of steps; one network call a step and half-step.
    action: of the chunk, if any.

  Returns:
    The frames `[b, t, ...]`, and the readout of their views.
  """
  b, t = cameras.intrinsics.shape[:2]
  h, w = context.depth_m.shape[-2:]
  readout = read_views(model, params, states, cameras, h, w)
  conditioning = model.apply(
    params,
    model.codec.encode(context),
    jnp.zeros(context.time_s.shape),
    context.cameras,
    cameras,
    readout,
    action,
    method='condition',
  )
  predict = predictor(model, params, conditioning)
  shape = t, *model.codec.grid(h, w), model.codec.channels
  noise = draw_noise(key, b, shape)
  _, last = denoise(sampler.kind, predict, noise, sampler.times())
  return model.codec.decode(last.clean, last.dynamic, last.sky), readout


def draw_noise(
  key: Key[Array, '*b'], count: int, shape: tuple[int, ...]
) -> Float[Array, 'b ...']:
  """Draws noise for `count` examples from one key, or from one for each."""
  if key.ndim == 0:
    return jax.random.normal(key, (count, *shape))
  return jax.vmap(lambda each: jax.random.normal(each, shape))(key)


def predictor(
  model: WorldModel, params: Any, conditioning: Conditioning
) -> Predict:
  """Makes `(x, level) -> Prediction` of a chunk.

  `x` is `[b, t, y, x, c]`; its frames have one level, which is a number for
  all examples or `[b]`.
  """
  shape = conditioning.cameras.intrinsics.shape[:2]

  def predict(x: Array, level: Array) -> Prediction:
    levels = jnp.broadcast_to(jnp.reshape(level, (-1, 1)), shape)
    return model.apply(params, x, levels, conditioning, method='denoise')

  return predict


def denoise(
  kind: str,
  predict: Predict,
  x: Float[Array, 'b t y x c'],
  times: Float[Array, 'steps_and_one *b'],
) -> tuple[Float[Array, 'b t y x c'], Prediction]:
  """Integrates along all but the last interval, and predicts from there.

  A last step to level 0 lands on the prediction itself.

  Args:
    kind: of the sampler.
    predict: see `predictor`.
    x: the starting sample.
    times: descending levels, for all examples or for each.

  Returns:
    The sample at `times[-2]`, and the prediction from it.
  """

  def velocity(x: Array, level: Array) -> Array:
    return velocity_from_clean(x, predict(x, level).clean, level)

  x = integrate(kind, velocity, x, times[:-1])
  return x, predict(x, times[-2])
