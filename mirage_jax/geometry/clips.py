"""A posed clip: what every source of data becomes."""

from typing import TypeVar

import flax.struct
import jax
import jax.numpy as jnp

from mirage_jax.arrays import Array, Bool, Float, Int, UInt8
from mirage_jax.geometry.cameras import Cameras

Tree = TypeVar('Tree')


@flax.struct.dataclass
class Clip:
  """Posed RGB-D frames; any leading axes may stand before t.

  Attributes:
    rgb: `[*b, t, h, w, 3]` uint8.
    depth_m: `[*b, t, h, w]` z-depth in metres, 0 = no reading.
    intrinsics: `[*b, t, 4]` as `fx/w, fy/h, cx/w, cy/h`.
    world_from_camera: `[*b, t, 4, 4]`, OpenCV axes, metres.
    time_s: `[*b, t]` seconds.
    dynamic: `[*b, t, h, w]` pixels of things that move, if known.
    sky: `[*b, t, h, w]` pixels at infinity, if known.
    object_id: `[*b, t, h, w]` int32, 0 = background, if known.
    object_box: `[*b, t, o, 3]` full extents in the object's axes, metres.
    object_position: `[*b, t, o, 3]` centre in the world, metres; known also
      while the object is out of view.
    object_velocity: `[*b, t, o, 3]` metres per second.
    action: `[*b, t, a]` input of a player that led to each frame, if known.
  """

  rgb: UInt8[Array, '*b t h w 3']
  depth_m: Float[Array, '*b t h w']
  intrinsics: Float[Array, '*b t 4']
  world_from_camera: Float[Array, '*b t 4 4']
  time_s: Float[Array, '*b t']
  dynamic: Bool[Array, '*b t h w'] | None = None
  sky: Bool[Array, '*b t h w'] | None = None
  object_id: Int[Array, '*b t h w'] | None = None
  object_box: Float[Array, '*b t o 3'] | None = None
  object_position: Float[Array, '*b t o 3'] | None = None
  object_velocity: Float[Array, '*b t o 3'] | None = None
  action: Float[Array, '*b t a'] | None = None

  @property
  def cameras(self) -> Cameras:
    """The cameras of all frames."""
    return Cameras(self.intrinsics, self.world_from_camera)


def take_frames(clip: Clip, frames, axis: int = 0) -> Clip:
  """The frames `frames` (an index array or slice) of axis t = `axis`."""
  index = (slice(None),) * axis + (frames,)
  return jax.tree.map(lambda x: x[index], clip)


def join_frames(first: Tree, second: Tree) -> Tree:
  """Two trees of frames `[b, t, ...]`, one after the other."""
  return jax.tree.map(
    lambda a, b: jnp.concatenate([a, b], axis=1), first, second
  )
