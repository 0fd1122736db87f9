"""The world model: a generator that reads and writes a memory."""

from collections.abc import Mapping
from typing import Any

import flax.linen as nn
import flax.struct
import jax
import jax.numpy as jnp

from mirage_jax.arrays import Array, Float, Key
from mirage_jax.geometry.cameras import Cameras
from mirage_jax.geometry.clips import Clip, join_frames
from mirage_jax.memory import contract
from mirage_jax.memory.contract import Memory, Readout, Views
from mirage_jax.models import pixel_groups
from mirage_jax.models.codec import (
  Codec,
  CodedFrames,
  PixelCodec,
  encode_colour,
  fill_masks,
)
from mirage_jax.models.conditioning import Conditioning
from mirage_jax.models.generator import FEATURE_SIDE, Generator
from mirage_jax.nn.embeddings import patchify

HIDDEN = 32  # width of the encoder of what is written


@flax.struct.dataclass
class Prediction:
  """The world model's prediction of a chunk.

  Attributes:
    clean: `[b, t, y, x, c]` clean values of the codec.
    dynamic: `[b, t, h, w]` logit of "moves".
    sky: `[b, t, h, w]` logit of "at infinity".
    gate: `[b, t, y, x]` share of the memory's guess in `clean`.
  """

  clean: Float[Array, 'b t y x c']
  dynamic: Float[Array, 'b t h w']
  sky: Float[Array, 'b t h w']
  gate: Float[Array, 'b t y x']


class WorldModel(nn.Module):
  """Memory, generator and codec; every method is pure, states are arguments.

  Attributes:
    memory: a memory (static settings), or None for a window model.
    generator: a module with the methods of `Generator`.
    codec: between clips and the values that the generator denoises.
    pixel_group: pixels along a side of what is written and read as one point:
      1, or a divisor of `feature_pixels`.
    feature_pixels: pixels along a side that share their learned features.
    learned_features: features of a point beside its pixels.
  """

  memory: Memory | None
  generator: nn.Module
  codec: Codec
  pixel_group: int = 1
  feature_pixels: int = 2
  learned_features: int = 8

  def setup(self) -> None:
    """Makes the layers; a window model has none for the memory."""
    if self.pixel_group != 1 and self.feature_pixels % self.pixel_group:
      raise ValueError(
        f'pixel_group is {self.pixel_group} with feature_pixels (a fourth of '
        f'patch) {self.feature_pixels}; expected 1 or a divisor of '
        f'{self.feature_pixels}'
      )
    if self.memory is not None:
      self.guess_bias = self.param(
        'guess_bias', nn.initializers.constant(2.0), ()
      )
      self.encoder_hidden = nn.Dense(HIDDEN)
      self.encoder_out = nn.Dense(self.learned_features)
      self.memory_layers = self.memory.layers()

  def observe(self, state: Any, clip: Clip, generated: bool = False) -> Any:
    """Makes the observation of frames `[t]` for one scene's memory."""
    assert self.memory is not None
    learned = self._encode_points(encode_colour(clip.rgb))
    observed = pixel_groups.fold(clip, learned, self.pixel_group, generated)
    return self.memory.observe(state, observed)

  def write(self, state: Any, clip: Clip, generated: bool = False) -> Any:
    """Writes the frames `[t]` of `clip` into one scene's memory."""
    assert self.memory is not None
    observation = self.observe(state, clip, generated)
    return self.memory.write(state, observation, **self._learned())

  def forget(self, state: Any, clip: Clip) -> Any:
    """Removes true frames `[t]` from one scene's memory.

    Raises:
      ValueError: by a memory that cannot forget frames.
    """
    assert self.memory is not None
    return self.memory.forget(state, self.observe(state, clip))

  def read(
    self, state: Any, cameras: Cameras, height: int, width: int
  ) -> Readout:
    """Reads the views of cameras `[t]` from one scene's memory."""
    assert self.memory is not None
    size = height // self.pixel_group, width // self.pixel_group
    views = Views.still(cameras, *size)
    readout = self.memory.read(state, views, **self._learned())
    return pixel_groups.unfold(readout, self.pixel_group)

  def condition(
    self,
    context: CodedFrames,
    levels: Float[Array, 'b c'],
    context_cameras: Cameras,
    cameras: Cameras,
    readout: Readout | None = None,
    action: Float[Array, 'b t a'] | None = None,
  ) -> Conditioning:
    """Makes all inputs of the generator beside the noisy frames.

    Args:
      context: encoded frames `[b, c]` before the chunk.
      levels: noise level of every context frame.
      context_cameras: `[b, c]`.
      cameras: `[b, t]` of the chunk.
      readout: the memory's rendering of the chunk. Frames that it returns as
        they are stand before the context.
      action: `[b, t, a]` of the chunk, if any.
    """
    retrieved = None if readout is None else readout.retrieved
    if retrieved is not None:
      context = join_frames(self.codec.encode_retrieved(retrieved), context)
      levels = join_frames(jnp.zeros(retrieved.present.shape), levels)
      context_cameras = join_frames(retrieved.cameras, context_cameras)
    return Conditioning(
      context=self.generator.encode_context(context, levels, context_cameras),
      cameras=cameras,
      readout=None if readout is None else self.codec.encode_readout(readout),
      action=action,
    )

  def denoise(
    self,
    noisy: Float[Array, 'b t y x c'],
    levels: Float[Array, 'b t'],
    conditioning: Conditioning,
  ) -> Prediction:
    """Predicts the clean frames: `(1 - g) net + g guess`.

    The gate g is the readout's confidence times a learned share.

    Args:
      noisy: values at their noise levels.
      levels: noise level of every frame.
      conditioning: from `condition`.
    """
    estimate = self.generator.denoise(noisy, levels, conditioning)
    clean, readout = estimate.clean, conditioning.readout
    gate = jnp.zeros_like(estimate.gate_logit)
    if readout is not None:
      share = jax.nn.sigmoid(self.guess_bias + estimate.gate_logit)
      gate = readout.confidence * share
      weight = gate[..., None]
      clean = (1 - weight) * clean + weight * readout.values
    dynamic, sky = self.codec.mask_logits(estimate.masks)
    return Prediction(clean, dynamic, sky, gate)

  def _encode_points(
    self, rgb: Float[Array, 't h w 3']
  ) -> Float[Array, 't y x l']:
    """Encodes colours into the learned features of points."""
    side = self.feature_pixels
    hidden = jax.nn.gelu(self.encoder_hidden(patchify(rgb, side)))
    found = jnp.tanh(self.encoder_out(hidden))
    t, h, w = rgb.shape[:3]
    found = found.reshape(t, h // side, w // side, self.learned_features)
    count = side // self.pixel_group
    return jnp.repeat(jnp.repeat(found, count, axis=1), count, axis=2)

  def _learned(self) -> dict[str, nn.Module]:
    """Gives a memory that learns its layers."""
    return contract.learned(self.memory_layers)


def make_pixel_model(
  transformer: Mapping[str, Any],
  memory: Memory | None = None,
  patch: int = 8,
  pixel_group: int = 1,
  learned_features: int = 8,
  per_frame: bool = False,
  action_features: int = 0,
) -> WorldModel:
  """Makes a world model that generates pixels.

  Args:
    transformer: settings of `VideoTransformer`.
    memory: a memory, or None for a window model.
    patch: pixels along a side of a token.
    pixel_group: pixels along a side of a point: 1, or a divisor of a fourth
      of `patch`.
    learned_features: features of a point beside its pixels.
    per_frame: every frame attends to itself only: no context.
    action_features: of an action; 0 leaves actions out.
  """
  codec = PixelCodec()
  generator = Generator(
    transformer=transformer,
    channels=codec.channels,
    masks=codec.masks,
    patch=patch,
    per_frame=per_frame,
    action_features=action_features,
  )
  return WorldModel(
    memory=memory,
    generator=generator,
    codec=codec,
    pixel_group=pixel_group,
    feature_pixels=patch // FEATURE_SIDE,
    learned_features=learned_features,
  )


def init_params(
  model: WorldModel, key: Key[Array, ''], height: int, width: int
) -> Any:
  """Draws float32 parameters; shapes do not depend on batch or frames."""
  clip = Clip(
    rgb=jnp.zeros((1, 1, height, width, 3), jnp.uint8),
    depth_m=jnp.ones((1, 1, height, width)),
    intrinsics=jnp.ones((1, 1, 4)),
    world_from_camera=jnp.eye(4)[None, None],
    time_s=jnp.zeros((1, 1)),
  )

  def everything(module: WorldModel) -> Prediction:
    readout = None
    if module.memory is not None:
      state = module.memory.init(jnp.eye(4))
      one = jax.tree.map(lambda x: x[0], fill_masks(clip))
      state = module.write(state, one)
      readout = module.read(state, one.cameras, height, width)
      readout = jax.tree.map(lambda x: x[None], readout)
    level, frames = jnp.zeros((1, 1)), module.codec.encode(clip)
    conditioning = module.condition(
      frames, level, clip.cameras, clip.cameras, readout
    )
    return module.denoise(frames.values, level, conditioning)

  return jax.jit(lambda key: model.init(key, method=everything))(key)
