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

from mirage_jax.arrays import Array, Bool, Float, Int
from mirage_jax.geometry import cameras as pinhole
from mirage_jax.geometry.cameras import Cameras
from mirage_jax.memory import growing, zbuffer
from mirage_jax.memory.contract import Memory, Readout, check_alike


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


@flax.struct.dataclass
class PointCloudState:
  """Points in the order in which they were written.

  Attributes:
    frame: `[4, 4]` world_from_scene.
    points: `[capacity]`, zeros behind the last.
    count: how many there are.
    overflow: whether a point found no place.
  """

  frame: Float[Array, '4 4']
  points: Points
  count: Int[Array, '']
  overflow: Bool[Array, '']

  @property
  def capacity(self) -> int:
    """Points that it can hold."""
    return self.points.wanted.shape[-1]


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
    if self.capacity < 1 or self.capacity & (self.capacity - 1):
      raise ValueError(f'capacity is {self.capacity}; expected a power of two')
    if self.features < 3:
      raise ValueError(
        f'features is {self.features}; at least 3, the first are rgb'
      )

  def init(self, frame: Float[Array, '4 4']) -> PointCloudState:
    """An empty cloud; `frame` (world_from_scene) gives its axes."""
    dtype = jnp.uint8 if self.exact else jnp.float32
    return PointCloudState(
      frame=jnp.asarray(frame, jnp.float32),
      points=Points(
        position=jnp.zeros((self.capacity, 3)),
        features=jnp.zeros((self.capacity, self.features), dtype),
        wanted=jnp.zeros(self.capacity, bool),
      ),
      count=jnp.int32(0),
      overflow=jnp.bool_(False),
    )

  def observe(
    self,
    state: PointCloudState,
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

  def write(
    self, state: PointCloudState, observation: Points
  ) -> PointCloudState:
    """Puts the points behind the others."""
    points, count, over = growing.append(
      state.points, state.count, observation, observation.wanted
    )
    return dataclasses.replace(
      state, points=points, count=count, overflow=state.overflow | over
    )

  def read(
    self, state: PointCloudState, cameras: Cameras, height: int, width: int
  ) -> Readout:
    """The nearest point of every pixel of the views `[t]`."""
    cameras = pinhole.relative_to(cameras, state.frame)
    points = state.points
    features = points.features
    if self.exact:
      features = features / 127.5 - 1.0

    def one(camera: Cameras) -> Readout:
      return zbuffer.splat(
        points.position, features, camera, points.wanted, height, width
      )

    return jax.lax.map(one, cameras)

  def merge(
    self, first: PointCloudState, second: PointCloudState
  ) -> PointCloudState:
    """The points of both, at twice the capacity."""
    check_alike(first, second)
    rows = growing.enlarge(first.points, 2 * first.capacity)
    points, count, _ = growing.append(
      rows, first.count, second.points, second.points.wanted
    )
    overflow = first.overflow | second.overflow
    return dataclasses.replace(
      first, points=points, count=count, overflow=overflow
    )

  def forget(
    self, state: PointCloudState, observation: Points
  ) -> PointCloudState:
    """Takes a written observation out again, bit for bit."""
    points, count = growing.remove(
      state.points, state.count, observation, observation.wanted
    )
    return dataclasses.replace(state, points=points, count=count)

  def make_room(self, state: PointCloudState, points: int) -> PointCloudState:
    """The state with its capacity doubled until the points fit."""
    capacity = state.capacity
    wanted = growing.capacity_for(capacity, int(state.count) + points)
    if wanted == capacity:
      return state
    return dataclasses.replace(
      state, points=growing.enlarge(state.points, wanted)
    )

  def load_factor(self, state: PointCloudState) -> Float[Array, ' l']:
    """Share of the capacity in use."""
    return (state.count / state.capacity)[None]
