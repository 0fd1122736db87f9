"""A growing cloud of points with features, read by a z-buffer.

The readout of Latent Spatial Memory (arXiv 2606.09828): what was seen is kept
as points, and a view shows, in each cell, the nearest of them, or nothing. Here
every pixel is a point and a cell is a pixel. Points are never merged or
revised, and movers are left out.

The cloud grows: bytes and the cost of a read are linear in the frames written.
Of the laws it claims that the order of writes does not matter to what is read,
that merging is addition in the same sense, that forgetting is exact, and that
nothing is shown where nothing was seen.
"""

import dataclasses

import flax.struct
import jax
import jax.numpy as jnp

from mirage_jax.arrays import Array, Bool, Float
from mirage_jax.geometry import cameras as pinhole
from mirage_jax.geometry.cameras import Cameras
from mirage_jax.memory.baselines import growing, zbuffer
from mirage_jax.memory.baselines.growing import GrowingState
from mirage_jax.memory.contract import Memory, Readout


@flax.struct.dataclass
class Points:
  """Points `[p]` of the scene's frame.

  Attributes:
    position: `[p, 3]` metres.
    features: `[p, f]` float32 in [-1, 1], or uint8 if exact.
    wanted: `[p]` whether it is a point at all.
  """

  position: Float[Array, 'p 3']
  features: Array
  wanted: Bool[Array, ' p']


@dataclasses.dataclass(frozen=True)
class PointCloud(Memory):
  """The configuration of a cloud.

  Attributes:
    features: features of a point, rgb first.
    exact: whether features are kept in 8 bits.
    capacity: points that an empty cloud holds; doubled by `make_room`.
  """

  features: int = 3
  exact: bool = False
  capacity: int = 2**16

  def __post_init__(self):
    growing.check_capacity(self.capacity)
    if self.features < 3:
      raise ValueError(
        f'features is {self.features}; at least 3, the first are rgb'
      )

  def init(self, frame: Float[Array, '4 4']) -> GrowingState:
    """An empty cloud; `frame` (world_from_scene) gives its axes."""
    dtype = jnp.uint8 if self.exact else jnp.float32
    points = Points(
      position=jnp.zeros((self.capacity, 3)),
      features=jnp.zeros((self.capacity, self.features), dtype),
      wanted=jnp.zeros(self.capacity, bool),
    )
    return growing.init(frame, points)

  def observe(
    self,
    state: GrowingState,
    cameras: Cameras,
    depth_m: Float[Array, 't h w'],
    features: Float[Array, 't h w f'],
    weight: Float[Array, 't h w'],
    generated: bool = False,
  ) -> Points:
    """A point of every pixel with depth and weight; generated ones too."""
    del generated
    cameras = pinhole.relative_to(cameras, state.frame)
    position = pinhole.unproject(cameras, depth_m).reshape(-1, 3)
    rows = features.reshape(-1, self.features)
    if self.exact:
      rows = jnp.round((jnp.clip(rows, -1, 1) + 1) * 127.5).astype(jnp.uint8)
    wanted = (depth_m > 0) & (weight > 0)
    return Points(jax.lax.stop_gradient(position), rows, wanted.reshape(-1))

  def write(self, state: GrowingState, observation: Points) -> GrowingState:
    """Puts the points behind the others."""
    return growing.write(state, observation, observation.wanted)

  def read(
    self, state: GrowingState, cameras: Cameras, height: int, width: int
  ) -> Readout:
    """The nearest point of every pixel of the views `[t]`."""
    cameras = pinhole.relative_to(cameras, state.frame)
    points = state.rows
    features = points.features
    if self.exact:
      features = features / 127.5 - 1.0

    def one(camera: Cameras) -> Readout:
      return zbuffer.splat(
        points.position, features, camera, points.wanted, height, width
      )

    return jax.lax.map(one, cameras)

  def merge(self, first: GrowingState, second: GrowingState) -> GrowingState:
    """The points of both, at twice the capacity."""
    return growing.merge(first, second)

  def forget(self, state: GrowingState, observation: Points) -> GrowingState:
    """Takes a written observation out again, bit for bit."""
    return growing.forget(state, observation, observation.wanted)

  def make_room(self, state: GrowingState, points: int) -> GrowingState:
    """The state with its capacity doubled until the points fit."""
    return growing.make_room(state, points)

  def load_factor(self, state: GrowingState) -> Float[Array, ' l']:
    """Share of the capacity in use."""
    return (state.count / state.capacity)[None]
