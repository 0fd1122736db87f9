"""The pytrees that go into a memory and come out of it."""

from typing import Any

import flax.struct
import jax
import jax.numpy as jnp

from mirage_jax.arrays import Array, Float, Int
from mirage_jax.geometry.cameras import Cameras


@flax.struct.dataclass
class Observed:
  """Posed frames, as they are given to a memory.

  Attributes:
    cameras: `[*b, t]` of the frames, metres, the world's axes.
    time_s: `[*b, t]` seconds.
    depth_m: `[*b, t, h, w]` z-depth, 0 where unknown.
    features: `[*b, t, h, w, f]` in [-1, 1], rgb first.
    weight: `[*b, t, h, w]` in [0, 1]; a pixel of weight 0 is not written.
    mover: `[*b, t, h, w]` probability that the pixel moves. A memory of
      static scenes ignores it: movers have weight 0.
    object_id: `[*b, t, h, w]` int32, 0 = background; None if unknown.
    generated: True if a model generated the frames; static under `jit`.
  """

  cameras: Cameras
  time_s: Float[Array, '*b t']
  depth_m: Float[Array, '*b t h w']
  features: Float[Array, '*b t h w f']
  weight: Float[Array, '*b t h w']
  mover: Float[Array, '*b t h w']
  object_id: Int[Array, '*b t h w'] | None = None
  generated: bool = flax.struct.field(pytree_node=False, default=False)

  @classmethod
  def still(
    cls,
    cameras: Cameras,
    depth_m: Float[Array, '*b t h w'],
    features: Float[Array, '*b t h w f'],
    weight: Float[Array, '*b t h w'],
    generated: bool = False,
  ) -> 'Observed':
    """Makes frames of a scene in which nothing moves, all at time 0."""
    time_s = jnp.zeros(cameras.intrinsics.shape[:-1])
    mover = jnp.zeros(depth_m.shape)
    return cls(
      cameras, time_s, depth_m, features, weight, mover, generated=generated
    )


@flax.struct.dataclass
class Views:
  """Views that a memory is read for.

  Attributes:
    cameras: `[*b, t]` metres, the world's axes.
    time_s: `[*b, t]` seconds.
    height: pixels; static under `jit`.
    width: pixels; static under `jit`.
  """

  cameras: Cameras
  time_s: Float[Array, '*b t']
  height: int = flax.struct.field(pytree_node=False)
  width: int = flax.struct.field(pytree_node=False)

  @classmethod
  def still(cls, cameras: Cameras, height: int, width: int) -> 'Views':
    """Makes views of a scene in which nothing moves, all at time 0."""
    time_s = jnp.zeros(cameras.intrinsics.shape[:-1])
    return cls(cameras, time_s, height, width)


@flax.struct.dataclass
class RetrievedFrames:
  """Past frames that a memory returns as they are, for a whole chunk.

  Attributes:
    rgb: `[*b, k, h, w, 3]` in [-1, 1].
    depth_m: `[*b, k, h, w]` z-depth, 0 where unknown.
    cameras: `[*b, k]` of the frames, metres, the world's axes.
    present: `[*b, k]` 1 where there is a frame, 0 for an empty place.
  """

  rgb: Float[Array, '*b k h w 3']
  depth_m: Float[Array, '*b k h w']
  cameras: Cameras
  present: Float[Array, '*b k']


@flax.struct.dataclass
class Readout:
  """A memory's rendering of views, one ray per pixel.

  A memory that renders nothing returns zeros, and may retrieve frames instead.

  Attributes:
    features: `[*b, h, w, f]`; the first three are rgb in [-1, 1], all are 0
      where nothing is known.
    depth_m: `[*b, h, w]` z-depth, 0 where nothing is known.
    opacity: `[*b, h, w]` in [0, 1]: probability that the ray meets a known
      surface.
    confidence: `[*b, h, w]` in [0, 1]: probability that colour is within 0.1
      of [0, 1] and depth within 5 %.
    mover: `[*b, h, w]` probability that the surface moves; None from a memory
      of static scenes.
    motion_px: `[*b, h, w, 2]` motion of the surface in the picture, pixels a
      second; None likewise.
    age_s: `[*b, h, w]` seconds since the surface was last observed; None from
      a memory that keeps no times.
    retrieved: frames of the past; None from a memory that keeps none.
    tokens: `[*b, y, x, c]` learned features at patch resolution; None from a
      memory that learns no readout.
  """

  features: Float[Array, '*b h w f']
  depth_m: Float[Array, '*b h w']
  opacity: Float[Array, '*b h w']
  confidence: Float[Array, '*b h w']
  mover: Float[Array, '*b h w'] | None = None
  motion_px: Float[Array, '*b h w 2'] | None = None
  age_s: Float[Array, '*b h w'] | None = None
  retrieved: RetrievedFrames | None = None
  tokens: Float[Array, '*b y x c'] | None = None

  @property
  def rgb(self) -> Float[Array, '*b h w 3']:
    """Colour in [-1, 1], meaningful where opacity > 0."""
    return self.features[..., :3]

  def hidden(self, shown: Float[Array, ' b']) -> 'Readout':
    """Hides the readouts of those of b scenes whose `shown` is 0.

    They become the readout of an empty memory. Cameras of retrieved frames
    stay, so that they remain cameras.
    """

    def keep(x):
      return x * shown.reshape(-1, *[1] * (x.ndim - 1))

    hidden = jax.tree.map(keep, self)
    if self.retrieved is None or hidden.retrieved is None:
      return hidden
    retrieved = hidden.retrieved.replace(cameras=self.retrieved.cameras)
    return hidden.replace(retrieved=retrieved)


def empty_readout(views: Views, **fields: Any) -> Readout:
  """Makes the readout of a memory that renders nothing, plus `fields`."""
  shape = (len(views.cameras.intrinsics), views.height, views.width)
  nothing = jnp.zeros(shape)
  return Readout(jnp.zeros((*shape, 3)), nothing, nothing, nothing, **fields)


def check_features(features: int) -> None:
  """Raises ValueError unless there are features for rgb."""
  if features < 3:
    raise ValueError(f'features is {features}; at least 3, the first are rgb')


def check_shapes(features: int, observed: Observed) -> None:
  """Raises ValueError unless images, features and cameras belong together."""
  depth_m, weight = observed.depth_m, observed.weight
  frames = observed.cameras.intrinsics.shape[:1]
  if depth_m.ndim != 3 or depth_m.shape[:1] != frames:
    raise ValueError(
      f'depth_m is {depth_m.shape} for {frames[0]} cameras; '
      'expected [t, h, w] with one camera a frame'
    )
  wanted = (*depth_m.shape, features)
  if observed.features.shape != wanted or weight.shape != depth_m.shape:
    raise ValueError(
      f'features are {observed.features.shape} and weight {weight.shape}; '
      f'expected {wanted} and {depth_m.shape}'
    )
