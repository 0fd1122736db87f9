"""What the generator sees of a clip: colour and bounded inverse depth."""

import dataclasses

import flax.struct
import jax.numpy as jnp

from mirage_jax.arrays import Array, Bool, Float
from mirage_jax.geometry.cameras import Cameras
from mirage_jax.geometry.clips import Clip
from mirage_jax.memory.contract import RetrievedFrames

CHANNELS = 4
DEPTH_SCALE_M = 2.0  # where the bounded inverse depth is halfway
FAR_M = 500.0


def encode_depth(depth_m: Float[Array, '*batch']) -> Float[Array, '*batch']:
  """Depth to `2 / (1 + z / z0) - 1` in [-1, 1]; 0 (no reading, sky) to -1."""
  near = 2.0 / (1.0 + depth_m / DEPTH_SCALE_M) - 1.0
  return jnp.where(depth_m > 0, near, -1.0)


def decode_depth(code: Float[Array, '*batch']) -> Float[Array, '*batch']:
  """Inverse of `encode_depth`, metres; at most `FAR_M`."""
  share = jnp.clip((code + 1.0) / 2.0, 1.0 / (1 + FAR_M / DEPTH_SCALE_M), 1.0)
  return DEPTH_SCALE_M * (1.0 / share - 1.0)


def encode_colour(rgb: Array) -> Float[Array, '*batch']:
  """uint8 to [-1, 1]."""
  return rgb.astype(jnp.float32) / 127.5 - 1.0


def decode_colour(rgb: Float[Array, '*batch']) -> Array:
  """[-1, 1] to uint8, rounded."""
  return jnp.clip(jnp.round((rgb + 1.0) * 127.5), 0, 255).astype(jnp.uint8)


def encode_clip(clip: Clip) -> Float[Array, '*b t h w 4']:
  """Colour and inverse depth in [-1, 1]."""
  return jnp.concatenate(
    [encode_colour(clip.rgb), encode_depth(clip.depth_m)[..., None]], axis=-1
  )


def encode_recalled(recalled: RetrievedFrames) -> Float[Array, '*b k h w 5']:
  """Recalled frames as the window has them: colour, inverse depth, known.

  A place left empty is all zeros.
  """
  depth = encode_depth(recalled.depth_m)[..., None]
  known = (recalled.depth_m > 0).astype(jnp.float32)[..., None]
  video = jnp.concatenate([recalled.rgb, depth, known], axis=-1)
  return video * recalled.present[..., None, None, None]


def depth_known(clip: Clip) -> Bool[Array, '*b t h w']:
  """Pixels whose inverse depth is known: a reading, or the sky's 0."""
  known = clip.depth_m > 0
  return known if clip.sky is None else known | clip.sky


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
    """The frames as a clip along `cameras`; colours rounded to uint8."""
    return Clip(
      rgb=decode_colour(self.rgb),
      depth_m=self.depth_m,
      intrinsics=cameras.intrinsics,
      world_from_camera=cameras.world_from_camera,
      time_s=time_s,
      dynamic=self.dynamic,
      sky=self.sky,
    )


def frames_from_video(
  video: Float[Array, '*b t h w 4'],
  dynamic_logit: Float[Array, '*b t h w'],
  sky_logit: Float[Array, '*b t h w'],
) -> Frames:
  """Decodes a generated video and its mask logits."""
  video = jnp.clip(video, -1.0, 1.0)
  sky = sky_logit > 0
  depth = jnp.where(sky, 0.0, decode_depth(video[..., 3]))
  return Frames(video[..., :3], depth, dynamic_logit > 0, sky)


def static_weight(clip: Clip) -> Float[Array, '*b t h w']:
  """1 where a pixel may enter the static field: depth, no mover, no sky."""
  weight = (clip.depth_m > 0).astype(jnp.float32)
  for mask in (clip.dynamic, clip.sky):
    if mask is not None:
      weight = weight * (1.0 - mask.astype(jnp.float32))
  return weight


def fill_masks(clip: Clip) -> Clip:
  """The clip with absent masks filled by False and object fields dropped."""
  empty = jnp.zeros(clip.depth_m.shape, bool)
  return dataclasses.replace(
    clip,
    dynamic=empty if clip.dynamic is None else clip.dynamic,
    sky=empty if clip.sky is None else clip.sky,
    object_id=None,
    object_box=None,
    object_position=None,
    object_velocity=None,
  )
