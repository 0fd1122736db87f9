"""The ceiling: a memory that is shown every true frame, also those to come.

It answers a view with the last frame that was taken from the very same camera,
and is sure of it. What a model makes up is not kept. It claims that forgetting
is exact, and that nothing is shown where no frame was taken.
"""

import dataclasses
from typing import ClassVar

import jax.numpy as jnp

from mirage_jax.arrays import Array, Float
from mirage_jax.memory.baselines import growing
from mirage_jax.memory.baselines.frame_bank import FrameBank, Frames
from mirage_jax.memory.baselines.growing import GrowingState
from mirage_jax.memory.contract import (
  Law,
  Memory,
  Observed,
  Readout,
  Views,
)
from mirage_jax.memory.tables.sums import unquantise

SAME_POSE = 1e-4  # largest difference of a number of two equal cameras


@dataclasses.dataclass(frozen=True)
class Oracle(Memory):
  """The configuration of an oracle.

  Attributes:
    height: rows of a frame.
    width: columns of a frame.
    capacity: frames that an empty one holds; doubled by `reserve`.
  """

  height: int
  width: int
  capacity: int = 32
  claims: ClassVar[frozenset[Law]] = frozenset(
    {Law.MERGE, Law.FORGET, Law.HONEST}
  )
  needs_future: ClassVar[bool] = True
  renders: ClassVar[bool] = False
  grows: ClassVar[bool] = True
  from_layout: ClassVar[tuple[str, ...]] = ('height', 'width')

  @property
  def bank(self) -> FrameBank:
    """The bank that keeps the frames."""
    return FrameBank(self.height, self.width, 1, 0, self.capacity)

  def init(self, frame: Float[Array, '4 4']) -> GrowingState:
    """An empty oracle."""
    return self.bank.init(frame)

  def observe(self, state: GrowingState, observed: Observed) -> Frames:
    """Takes the frames as they are."""
    return self.bank.observe(state, observed)

  def write(self, state: GrowingState, observation: Frames) -> GrowingState:
    """Keeps the frames that were not generated."""
    return growing.write(state, observation, ~observation.generated)

  def read(self, state: GrowingState, views: Views) -> Readout:
    """Returns the last true frame of each camera `[t]`."""
    height, width, cameras = views.height, views.width, views.cameras
    if (height, width) != (self.height, self.width):
      raise ValueError(
        f'asked for {height} x {width}; this oracle keeps frames of '
        f'{self.height} x {self.width}'
      )
    known = state.there
    apart = jnp.maximum(
      _largest(cameras.intrinsics, state.rows.intrinsics),
      _largest(cameras.world_from_camera, state.rows.world_from_camera),
    )
    same = known & (apart <= SAME_POSE)
    # Who comes back is asked for what is there now.
    last = (same * jnp.arange(1, state.capacity + 1)).argmax(1)
    hit = same.any(1).astype(jnp.float32)[:, None, None]
    opacity = jnp.broadcast_to(hit, (len(last), height, width))
    return Readout(
      features=unquantise(state.rows.rgb[last]) * hit[..., None],
      depth_m=state.rows.depth_m[last] * hit,
      opacity=opacity,
      confidence=opacity,
    )

  def merge(self, first: GrowingState, second: GrowingState) -> GrowingState:
    """The frames of both."""
    return self.bank.merge(first, second)

  def forget(self, state: GrowingState, observation: Frames) -> GrowingState:
    """Takes written frames out again, bit for bit."""
    return self.bank.forget(state, observation)

  def reserve(self, state: GrowingState, points: int) -> GrowingState:
    """Doubles the capacity until the frames fit."""
    return self.bank.reserve(state, points)

  def load_factor(self, state: GrowingState) -> Float[Array, ' l']:
    """Share of the capacity in use."""
    return self.bank.load_factor(state)


def _largest(
  asked: Float[Array, 't ...'], kept: Float[Array, 'n ...']
) -> Float[Array, 't n']:
  """Largest difference of the numbers of each pair."""
  apart = jnp.abs(asked[:, None] - kept[None])
  return jnp.max(apart.reshape(*apart.shape[:2], -1), axis=-1)
