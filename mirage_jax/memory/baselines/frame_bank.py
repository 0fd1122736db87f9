"""A bank of past frames, recalled by how much of the asked views they saw.

After WorldMem (arXiv 2504.12369): every frame is kept with its pose, and a
chunk gets those whose fields of view overlap most with its own, chosen one by
one so that each adds what the others do not show. They join the generator's
window; nothing is rendered. Overlap is counted on points spread over the asked
fields of view at several depths, whether or not anything stands before them.

The bank grows: its bytes and the cost of choosing are linear in the frames
written. Of the laws it claims that forgetting is exact, and that merging is
writing one after the other.
"""

import dataclasses
from typing import Any, ClassVar

import flax.struct
import jax
import jax.numpy as jnp

from mirage_jax.arrays import Array, Bool, Float, Int
from mirage_jax.geometry import cameras as pinhole
from mirage_jax.geometry.cameras import Cameras
from mirage_jax.memory.baselines import growing
from mirage_jax.memory.baselines.growing import GrowingState
from mirage_jax.memory.contract import (
  Law,
  Memory,
  Observed,
  Readout,
  RetrievedFrames,
  Views,
  empty_readout,
)
from mirage_jax.memory.tables.sums import quantise_features, unquantise

PROBES = 6  # points along a side of a view
PROBE_DEPTHS_M = (1.0, 2.0, 4.0, 8.0)


@flax.struct.dataclass
class Frames:
  """Posed frames `[n]`.

  Attributes:
    rgb: `[n, h, w, 3]` uint8.
    depth_m: `[n, h, w]` z-depth, 0 where unknown.
    intrinsics: `[n, 4]`.
    world_from_camera: `[n, 4, 4]`.
    generated: `[n]` whether a model made it up.
  """

  rgb: Array
  depth_m: Float[Array, 'n h w']
  intrinsics: Float[Array, 'n 4']
  world_from_camera: Float[Array, 'n 4 4']
  generated: Bool[Array, ' n']

  @property
  def cameras(self) -> Cameras:
    """Of the frames."""
    return Cameras(self.intrinsics, self.world_from_camera)


@dataclasses.dataclass(frozen=True)
class FrameBank(Memory):
  """The configuration of a bank.

  Attributes:
    height: rows of a frame.
    width: columns of a frame.
    frames: how many are retrieved for a chunk.
    context_frames: the last frames written, which the generator is given
      anyway and which are not retrieved.
    capacity: frames that an empty bank holds; doubled by `reserve`.
  """

  height: int
  width: int
  frames: int = 4
  context_frames: int = 4
  capacity: int = 16
  claims: ClassVar[frozenset[Law]] = frozenset(
    {Law.MERGE, Law.FORGET, Law.HONEST}
  )
  renders: ClassVar[bool] = False
  grows: ClassVar[bool] = True
  from_layout: ClassVar[tuple[str, ...]] = (
    'height',
    'width',
    'context_frames',
  )

  def __post_init__(self):
    growing.check_capacity(self.capacity)
    if not 1 <= self.frames <= self.capacity:
      raise ValueError(
        f'frames is {self.frames}; expected 1 to {self.capacity}, the capacity'
      )

  def init(self, frame: Float[Array, '4 4']) -> GrowingState:
    """An empty bank; `frame` (world_from_scene) is kept for merging."""
    n, h, w = self.capacity, self.height, self.width
    frames = Frames(
      rgb=jnp.zeros((n, h, w, 3), jnp.uint8),
      depth_m=jnp.zeros((n, h, w)),
      intrinsics=jnp.zeros((n, 4)),
      world_from_camera=jnp.zeros((n, 4, 4)),
      generated=jnp.zeros(n, bool),
    )
    return growing.init(frame, frames)

  def observe(self, state: GrowingState, observed: Observed) -> Frames:
    """Takes the frames as they are, movers and sky too; colours in 8 bits."""
    del state
    depth_m = observed.depth_m
    if depth_m.shape[1:] != (self.height, self.width):
      raise ValueError(
        f'frames are {depth_m.shape[1]} x {depth_m.shape[2]}; this bank keeps '
        f'frames of {self.height} x {self.width}'
      )
    rgb = quantise_features(observed.features[..., :3], True, jnp.uint8)
    return Frames(
      rgb=rgb.reshape(*depth_m.shape, 3),
      depth_m=depth_m,
      intrinsics=observed.cameras.intrinsics,
      world_from_camera=observed.cameras.world_from_camera,
      generated=jnp.full(depth_m.shape[0], observed.generated),
    )

  def write(self, state: GrowingState, observation: Frames) -> GrowingState:
    """Puts the frames behind the others."""
    every = jnp.ones(observation.generated.shape, bool)
    return growing.write(state, observation, every)

  def read(self, state: GrowingState, views: Views) -> Readout:
    """Retrieves `frames` frames for the views `[t]` of one chunk."""
    cameras = views.cameras
    chosen, present = self.choose(state, cameras)
    frames = jax.tree.map(lambda x: x[chosen], state.rows)
    shown = present[:, None, None]
    retrieved = RetrievedFrames(
      rgb=unquantise(frames.rgb) * shown[..., None],
      depth_m=frames.depth_m * shown,
      cameras=_or_first(frames.cameras, present, cameras),
      present=present.astype(jnp.float32),
    )
    return empty_readout(views, retrieved=retrieved)

  def choose(
    self, state: GrowingState, cameras: Cameras
  ) -> tuple[Int[Array, ' k'], Bool[Array, ' k']]:
    """Indices of the frames for a chunk, best first, and which there are.

    The next frame is the one that saw most points that neither the window nor
    the chosen ones saw; of equal ones the one that saw more at all, then the
    later one.
    """
    points = _probes(cameras)
    each = jnp.broadcast_to(points, (state.capacity, *points.shape))
    uv, z = pinhole.project(state.rows.cameras, each)
    index = jnp.arange(state.capacity)
    known = state.there
    seen = pinhole.in_view(uv, z) & known[:, None]  # [n, p]
    windowed = index >= state.count - self.context_frames
    left = ~(seen & windowed[:, None]).any(0)
    free = known & ~windowed
    total = seen.sum(1)
    chosen, present = [], []
    for _ in range(self.frames):
      gain = (seen & left).sum(1)
      best = _last_largest(jnp.where(free, gain * points.shape[0] + total, -1))
      chosen.append(best)
      present.append(free[best])
      left = left & ~seen[best]
      free = free & (index != best)
    return jnp.stack(chosen), jnp.stack(present)

  def merge(self, first: GrowingState, second: GrowingState) -> GrowingState:
    """The frames of `first`, then those of `second`, at twice the capacity."""
    return growing.merge(first, second)

  def forget(self, state: GrowingState, observation: Frames) -> GrowingState:
    """Takes written frames out again, bit for bit."""
    every = jnp.ones(observation.generated.shape, bool)
    return growing.forget(state, observation, every)

  def reserve(self, state: GrowingState, points: int) -> GrowingState:
    """Doubles the capacity until the frames fit."""
    return growing.reserve(state, -(-points // (self.height * self.width)))

  def load_factor(self, state: GrowingState) -> Float[Array, ' l']:
    """Share of the capacity in use."""
    return (state.count / state.capacity)[None]


def _probes(cameras: Cameras) -> Float[Array, 'p 3']:
  """World points spread over the views `[t]`."""
  uv = pinhole.pixel_centres(PROBES, PROBES)
  directions = pinhole.camera_directions(cameras.intrinsics, uv)
  depths = jnp.array(PROBE_DEPTHS_M)[:, None, None, None, None]
  local = directions * depths  # [z, t, y, x, 3]
  pose = cameras.world_from_camera
  points = jnp.einsum('tij,ztyxj->ztyxi', pose[:, :3, :3], local)
  return (points + pose[:, None, None, :3, 3]).reshape(-1, 3)


def _last_largest(values: Int[Array, ' n']) -> Int[Array, '']:
  return values.shape[0] - 1 - jnp.argmax(values[::-1])


def _or_first(frames: Cameras, present: Array, views: Cameras) -> Cameras:
  """The frames' cameras; an empty place gets the first view's."""

  def pick(mine: Any, other: Any):
    shape = (-1,) + (1,) * (mine.ndim - 1)
    return jnp.where(present.reshape(shape), mine, other[0])

  return jax.tree.map(pick, frames, views)
