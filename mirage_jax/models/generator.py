"""The generator: a transformer that denoises posed frames."""

from collections.abc import Mapping
from typing import Any

import flax.linen as nn
import flax.struct
import jax.numpy as jnp

from mirage_jax.arrays import Array, Float
from mirage_jax.geometry.cameras import Cameras, pluecker, relative_to
from mirage_jax.models.codec import CodedFrames, CodedReadout
from mirage_jax.models.conditioning import Conditioning, EncodedContext
from mirage_jax.models.video_transformer import VideoTransformer
from mirage_jax.nn.embeddings import patchify, unpatchify

RAY_SIDE = 2  # Pluecker rays along a side of a token
FEATURE_SIDE = 4  # pooled features of a readout along a side of a token


@flax.struct.dataclass
class Estimate:
  """The output of a generator, without the memory's guess.

  Attributes:
    clean: `[b, t, y, x, c]` clean values.
    masks: `[b, t, y, x, m]` mask logits; see `Codec.mask_logits`.
    gate_logit: `[b, t, y, x]` added to the logit of the guess's share.
  """

  clean: Float[Array, 'b t y x c']
  masks: Float[Array, 'b t y x m']
  gate_logit: Float[Array, 'b t y x']


class Generator(nn.Module):
  """A transformer over patches of frames; it knows nothing of memories.

  Attributes:
    transformer: settings of `VideoTransformer`.
    channels: of the values that it denoises.
    masks: mask logits that it predicts for each position.
    patch: positions along a side of a token.
    per_frame: every frame attends to itself only, and the context to nothing.
    action_features: of an action; 0 leaves actions out.
  """

  transformer: Mapping[str, Any]
  channels: int
  masks: int
  patch: int = 8
  per_frame: bool = False
  action_features: int = 0

  def setup(self) -> None:
    """Makes the layers; those of inputs that are absent get no parameters."""
    width = self.transformer['width']
    self.trunk = VideoTransformer(**self.transformer)
    self.pixels_in = nn.Dense(width)
    self.rays_in = nn.Dense(width)
    self.head = nn.Dense(
      self.patch**2 * (self.channels + self.masks + 1),
      kernel_init=nn.initializers.zeros,
    )
    self.readout_in = nn.Dense(width, kernel_init=nn.initializers.zeros)
    self.tokens_in = nn.Dense(width, kernel_init=nn.initializers.zeros)
    self.action_in = nn.Dense(width, kernel_init=nn.initializers.zeros)

  def encode_context(
    self,
    frames: CodedFrames,
    levels: Float[Array, 'b c'],
    cameras: Cameras,
  ) -> EncodedContext:
    """Encodes the frames `[b, c]` before a chunk.

    Args:
      frames: the context, frames retrieved from a memory in front.
      levels: noise level of every frame.
      cameras: of the frames.
    """
    anchor = cameras.world_from_camera[:, -1]
    if self.per_frame:
      return EncodedContext(anchor)
    tokens = self._embed(frames, cameras, anchor)
    columns = frames.values.shape[3] // self.patch
    return EncodedContext(anchor, self.trunk(tokens, levels, columns)[1])

  def denoise(
    self,
    noisy: Float[Array, 'b t y x c'],
    levels: Float[Array, 'b t'],
    conditioning: Conditioning,
  ) -> Estimate:
    """Predicts the clean frames of a chunk.

    Args:
      noisy: frames at their noise levels.
      levels: noise level of every frame.
      conditioning: all other inputs.
    """
    b, t, h, w = noisy.shape[:4]
    context, readout = conditioning.context, conditioning.readout
    frames = CodedFrames(noisy, jnp.ones_like(noisy[..., :1]))
    tokens = self._embed(frames, conditioning.cameras, context.anchor)
    if readout is not None:
      tokens = tokens + self.readout_in(self._readout_tokens(readout))
      if readout.tokens is not None:
        side = readout.tokens.shape[-3] * self.patch // h
        tokens = tokens + self.tokens_in(patchify(readout.tokens, side))
    if self.action_features:
      tokens = tokens + self._action_token(conditioning.action, b, t)
    if self.per_frame:
      tokens = tokens.reshape(b * t, 1, *tokens.shape[2:])
      levels = levels.reshape(b * t, 1)
    out, _ = self.trunk(tokens, levels, w // self.patch, context.past)
    out = out.reshape(b, t, *out.shape[2:])
    out = unpatchify(self.head(out), self.patch, h, w).astype(jnp.float32)
    last = self.channels + self.masks
    return Estimate(
      clean=out[..., : self.channels],
      masks=out[..., self.channels : last],
      gate_logit=out[..., last],
    )

  def _embed(
    self,
    frames: CodedFrames,
    cameras: Cameras,
    anchor: Float[Array, 'b 4 4'],
  ) -> Float[Array, 'b t n d']:
    """Embeds values and rays as tokens; rays are relative to the anchor."""
    video = jnp.concatenate([frames.values, frames.known], axis=-1)
    h, w = video.shape[2:4]
    side = self.patch // RAY_SIDE
    relative = relative_to(cameras, anchor[:, None])
    rays = pluecker(relative, h // side, w // side)
    return self.pixels_in(patchify(video, self.patch)) + self.rays_in(
      patchify(rays, RAY_SIDE)
    )

  def _action_token(
    self, action: Float[Array, 'b t a'] | None, b: int, t: int
  ) -> Float[Array, 'b t 1 d']:
    """Embeds actions, the same for all tokens of a frame."""
    shape = b, t, self.action_features
    action = jnp.zeros(shape) if action is None else action
    if action.shape != shape:
      raise ValueError(
        f'actions of shape {action.shape}; expected {shape}: '
        'model.action_features is the size of an action'
      )
    return self.action_in(action)[:, :, None]

  def _readout_tokens(self, readout: CodedReadout) -> Float[Array, 'b t n p']:
    """Arranges a readout by tokens: values in full, features pooled."""
    opacity = readout.opacity[..., None]
    pixels = jnp.concatenate(
      [readout.values * opacity, opacity, readout.confidence[..., None]],
      axis=-1,
    )
    features = readout.features * opacity
    *batch, h, w, f = features.shape
    pool = self.patch // FEATURE_SIDE
    features = features.reshape(*batch, h // pool, pool, w // pool, pool, f)
    features = features.mean((-4, -2))
    return jnp.concatenate(
      [patchify(pixels, self.patch), patchify(features, FEATURE_SIDE)], -1
    )
