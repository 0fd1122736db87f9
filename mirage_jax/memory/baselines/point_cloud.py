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
from typing import ClassVar

import flax.struct
import jax
import jax.numpy as jnp

from mirage_jax.arrays import Array, Bool, Float
from mirage_jax.geometry import cameras as pinhole
from mirage_jax.geometry.cameras import Cameras, in_view, project
from mirage_jax.memory.baselines import growing
from mirage_jax.memory.baselines.growing import GrowingState
from mirage_jax.memory.contract import (
  Law,
  Memory,
  Observed,
  Readout,
  Views,
  check_features,
  check_shapes,
)
from mirage_jax.memory.tables.sums import quantise_features, unquantise


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
    capacity: points that an empty cloud holds; doubled by `reserve`.
  """

  features: int = 3
  exact: bool = False
  capacity: int = 2**16
  claims: ClassVar[frozenset[Law]] = frozenset(
    {Law.ORDER_FREE, Law.MERGE, Law.FORGET, Law.LOCAL, Law.HONEST}
  )
  grows: ClassVar[bool] = True
  from_layout: ClassVar[tuple[str, ...]] = ('features', 'exact')

  def __post_init__(self):
    growing.check_capacity(self.capacity)
    check_features(self.features)

  def init(self, frame: Float[Array, '4 4']) -> GrowingState:
    """An empty cloud; `frame` (world_from_scene) gives its axes."""
    dtype = jnp.uint8 if self.exact else jnp.float32
    points = Points(
      position=jnp.zeros((self.capacity, 3)),
      features=jnp.zeros((self.capacity, self.features), dtype),
      wanted=jnp.zeros(self.capacity, bool),
    )
    return growing.init(frame, points)

  def observe(self, state: GrowingState, observed: Observed) -> Points:
    """Makes a point of every pixel with depth and weight, generated or not."""
    check_shapes(self.features, observed)
    depth_m = observed.depth_m
    cameras = pinhole.relative_to(observed.cameras, state.frame)
    position = pinhole.unproject(cameras, depth_m).reshape(-1, 3)
    rows = quantise_features(observed.features, self.exact, jnp.uint8)
    wanted = (depth_m > 0) & (observed.weight > 0)
    return Points(jax.lax.stop_gradient(position), rows, wanted.reshape(-1))

  def write(self, state: GrowingState, observation: Points) -> GrowingState:
    """Puts the points behind the others."""
    return growing.write(state, observation, observation.wanted)

  def read(self, state: GrowingState, views: Views) -> Readout:
    """Renders the nearest point of every pixel of the views `[t]`."""
    cameras = pinhole.relative_to(views.cameras, state.frame)
    points = state.rows
    features = points.features
    if self.exact:
      features = unquantise(features)

    size = views.height, views.width

    def one(camera: Cameras) -> Readout:
      return splat(points.position, features, camera, points.wanted, *size)

    return jax.lax.map(one, cameras)

  def merge(self, first: GrowingState, second: GrowingState) -> GrowingState:
    """The points of both, at twice the capacity."""
    return growing.merge(first, second)

  def forget(self, state: GrowingState, observation: Points) -> GrowingState:
    """Takes a written observation out again, bit for bit."""
    return growing.forget(state, observation, observation.wanted)

  def reserve(self, state: GrowingState, points: int) -> GrowingState:
    """Doubles the capacity until the points fit."""
    return growing.reserve(state, points)

  def load_factor(self, state: GrowingState) -> Float[Array, ' l']:
    """Share of the capacity in use."""
    return (state.count / state.capacity)[None]


def splat(
  points: Float[Array, 'p 3'],
  features: Float[Array, 'p f'],
  camera: Cameras,
  valid: Bool[Array, ' p'],
  height: int,
  width: int,
) -> Readout:
  """Splats the points `valid` into one camera.

  Points of a pixel at exactly the same depth are averaged, so their order does
  not matter. Gradients flow through the features. Confidence is opacity: a
  cloud knows only whether there is a point.
  """
  uv, depth_m = project(camera, points)
  seen = in_view(uv, depth_m) & valid
  column = jnp.clip(jnp.floor(uv[:, 0] * width).astype(int), 0, width - 1)
  row = jnp.clip(jnp.floor(uv[:, 1] * height).astype(int), 0, height - 1)
  pixel = jnp.where(seen, row * width + column, height * width)
  nearest = jnp.full(height * width + 1, jnp.inf).at[pixel].min(depth_m)
  wins = seen & (depth_m <= nearest[pixel])
  rows = jnp.concatenate([features, jnp.ones_like(features[:, :1])], axis=-1)
  total = jnp.zeros((height * width + 1, rows.shape[-1]))
  total = total.at[pixel].add(rows * wins[:, None])[:-1]
  known = total[:, -1] > 0
  mean = total[:, :-1] / jnp.maximum(total[:, -1:], 1)
  opacity = known.astype(jnp.float32).reshape(height, width)
  return Readout(
    features=mean.reshape(height, width, -1),
    depth_m=jnp.where(known, nearest[:-1], 0).reshape(height, width),
    opacity=opacity,
    confidence=opacity,
  )
