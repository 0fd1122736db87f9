"""Codecs: between clips and the values that a generator denoises."""

import dataclasses
from typing import ClassVar, Protocol, runtime_checkable

import flax.struct
import jax.numpy as jnp

from mirage_jax.arrays import Array, Bool, Float
from mirage_jax.geometry.cameras import Cameras
from mirage_jax.geometry.clips import Clip
from mirage_jax.memory.contract import Readout, RetrievedFrames

DEPTH_SCALE_M = 2.0  # its code is 0, halfway between near and far
FAR_M = 500.0


def encode_depth(depth_m: Float[Array, '*batch']) -> Float[Array, '*batch']:
  """Maps depth to `2 / (1 + z / z0) - 1` in [-1, 1]; 0 (none, sky) to -1."""
  near = 2.0 / (1.0 + depth_m / DEPTH_SCALE_M) - 1.0
  return jnp.where(depth_m > 0, near, -1.0)


def decode_depth(code: Float[Array, '*batch']) -> Float[Array, '*batch']:
  """Inverts `encode_depth`: metres, at most `FAR_M`."""
  share = jnp.clip((code + 1.0) / 2.0, 1.0 / (1 + FAR_M / DEPTH_SCALE_M), 1.0)
  return DEPTH_SCALE_M * (1.0 / share - 1.0)


def encode_colour(rgb: Array) -> Float[Array, '*batch']:
  """Maps uint8 to [-1, 1]."""
  return rgb.astype(jnp.float32) / 127.5 - 1.0


def decode_colour(rgb: Float[Array, '*batch']) -> Array:
  """Maps [-1, 1] to uint8, rounded."""
  return jnp.clip(jnp.round((rgb + 1.0) * 127.5), 0, 255).astype(jnp.uint8)


@flax.struct.dataclass
class CodedFrames:
  """Frames at the resolution of a generator.

  Attributes:
    values: `[*b, t, y, x, c]` in about [-1, 1].
    known: `[*b, t, y, x, 1]` 1 where the depth in `values` is known, else 0.
  """

  values: Float[Array, '*b t y x c']
  known: Float[Array, '*b t y x 1']


@flax.struct.dataclass
class CodedReadout:
  """A readout at the resolution of a generator.

  Attributes:
    values: `[*b, t, y, x, c]` the memory's guess of the frames' values.
    opacity: `[*b, t, y, x]` in [0, 1].
    confidence: `[*b, t, y, x]` in [0, 1].
    features: `[*b, t, y, x, f]` learned features of what was written.
    tokens: `[*b, t, u, v, d]` learned features of the readout itself; None
      from a memory that learns none.
  """

  values: Float[Array, '*b t y x c']
  opacity: Float[Array, '*b t y x']
  confidence: Float[Array, '*b t y x']
  features: Float[Array, '*b t y x f']
  tokens: Float[Array, '*b t u v d'] | None = None


@flax.struct.dataclass
class Frames:
  """Generated frames.

  Attributes:
    rgb: `[*b, t, h, w, 3]` in [-1, 1].
    depth_m: `[*b, t, h, w]` z-depth, 0 = sky.
    dynamic: `[*b, t, h, w]` pixels of things that move.
    sky: `[*b, t, h, w]` pixels at infinity.
  """

  rgb: Float[Array, '*b t h w 3']
  depth_m: Float[Array, '*b t h w']
  dynamic: Bool[Array, '*b t h w']
  sky: Bool[Array, '*b t h w']

  def to_clip(self, cameras: Cameras, time_s: Float[Array, '*b t']) -> Clip:
    """Makes a clip along `cameras`; colours are rounded to uint8."""
    return Clip(
      rgb=decode_colour(self.rgb),
      depth_m=self.depth_m,
      intrinsics=cameras.intrinsics,
      world_from_camera=cameras.world_from_camera,
      time_s=time_s,
      dynamic=self.dynamic,
      sky=self.sky,
    )


@runtime_checkable
class Codec(Protocol):
  """Maps clips to the values that a generator denoises, and back.

  Attributes:
    channels: of the values.
    masks: mask logits that a generator predicts for each position.
  """

  channels: int
  masks: int

  def grid(self, height: int, width: int) -> tuple[int, int]:
    """Gives the rows and columns of values of a frame of pixels."""
    ...

  def encode(self, clip: Clip) -> CodedFrames:
    """Encodes the frames of a clip."""
    ...

  def encode_retrieved(self, retrieved: RetrievedFrames) -> CodedFrames:
    """Encodes past frames from a memory; an empty place is all zeros."""
    ...

  def encode_readout(self, readout: Readout) -> CodedReadout:
    """Encodes a memory's rendering of views."""
    ...

  def mask_logits(
    self, masks: Float[Array, '*b t y x m']
  ) -> tuple[Float[Array, '*b t h w'], Float[Array, '*b t h w']]:
    """Separates the logits of "moves" and of "sky", one a pixel."""
    ...

  def decode(
    self,
    values: Float[Array, '*b t y x c'],
    dynamic_logit: Float[Array, '*b t h w'],
    sky_logit: Float[Array, '*b t h w'],
  ) -> Frames:
    """Decodes generated values and mask logits."""
    ...

  def losses(
    self,
    error: Float[Array, 'b t y x c'],
    known: Float[Array, 'b t y x 1'],
  ) -> dict[str, Float[Array, 'b']]:
    """Averages squared errors of values: `rgb`, and `depth` where known."""
    ...


@dataclasses.dataclass(frozen=True)
class PixelCodec:
  """Colour and bounded inverse depth, one position a pixel; see `Codec`."""

  channels: ClassVar[int] = 4
  masks: ClassVar[int] = 2

  def grid(self, height: int, width: int) -> tuple[int, int]:
    """Gives the size of the frame itself."""
    return height, width

  def encode(self, clip: Clip) -> CodedFrames:
    """Encodes colour and inverse depth in [-1, 1]."""
    depth = encode_depth(clip.depth_m)[..., None]
    values = jnp.concatenate([encode_colour(clip.rgb), depth], axis=-1)
    return CodedFrames(values, depth_known(clip).astype(jnp.float32)[..., None])

  def encode_retrieved(self, retrieved: RetrievedFrames) -> CodedFrames:
    """Encodes past frames from a memory; an empty place is all zeros."""
    depth = encode_depth(retrieved.depth_m)[..., None]
    known = (retrieved.depth_m > 0).astype(jnp.float32)[..., None]
    present = retrieved.present[..., None, None, None]
    values = jnp.concatenate([retrieved.rgb, depth], axis=-1) * present
    return CodedFrames(values, known * present)

  def encode_readout(self, readout: Readout) -> CodedReadout:
    """Encodes colour and inverse depth; the rest is one value a pixel."""
    depth = encode_depth(readout.depth_m)[..., None]
    return CodedReadout(
      values=jnp.concatenate([readout.rgb, depth], axis=-1),
      opacity=readout.opacity,
      confidence=readout.confidence,
      features=readout.features[..., 3:],
      tokens=readout.tokens,
    )

  def mask_logits(
    self, masks: Float[Array, '*b t h w 2']
  ) -> tuple[Float[Array, '*b t h w'], Float[Array, '*b t h w']]:
    """Separates the logits of "moves" and of "sky"."""
    return masks[..., 0], masks[..., 1]

  def decode(
    self,
    values: Float[Array, '*b t h w 4'],
    dynamic_logit: Float[Array, '*b t h w'],
    sky_logit: Float[Array, '*b t h w'],
  ) -> Frames:
    """Decodes generated values and mask logits; the sky has depth 0."""
    values = jnp.clip(values, -1.0, 1.0)
    sky = sky_logit > 0
    depth = jnp.where(sky, 0.0, decode_depth(values[..., 3]))
    return Frames(values[..., :3], depth, dynamic_logit > 0, sky)

  def losses(
    self,
    error: Float[Array, 'b t h w 4'],
    known: Float[Array, 'b t h w 1'],
  ) -> dict[str, Float[Array, 'b']]:
    """Averages squared errors: `rgb`, and `depth` where it is known."""
    pixels, known = (1, 2, 3), known[..., 0]
    depth = (error[..., 3] * known).sum(pixels)
    return {
      'rgb': error[..., :3].mean((1, 2, 3, 4)),
      'depth': depth / jnp.maximum(known.sum(pixels), 1.0),
    }


def depth_known(clip: Clip) -> Bool[Array, '*b t h w']:
  """Marks pixels whose inverse depth is known: a reading, or the sky's 0."""
  known = clip.depth_m > 0
  return known if clip.sky is None else known | clip.sky


def static_weight(clip: Clip) -> Float[Array, '*b t h w']:
  """Gives 1 to pixels of the static scene: depth, no mover, no sky."""
  weight = (clip.depth_m > 0).astype(jnp.float32)
  for mask in (clip.dynamic, clip.sky):
    if mask is not None:
      weight = weight * (1.0 - mask.astype(jnp.float32))
  return weight


def fill_masks(clip: Clip) -> Clip:
  """Fills absent masks with False and drops objects and actions."""
  empty = jnp.zeros(clip.depth_m.shape, bool)
  return dataclasses.replace(
    clip,
    dynamic=empty if clip.dynamic is None else clip.dynamic,
    sky=empty if clip.sky is None else clip.sky,
    object_id=None,
    object_box=None,
    object_position=None,
    object_velocity=None,
    action=None,
  )
