"""Memories that hold the suites of memories honest.

A score that `copy_first_frame` or `frozen_video` reaches says nothing: they
answer every view with the first or the last picture that was written, and are
sure of it. `oracle` is told what it will be asked, and is the best there is.
"""

import dataclasses
from typing import ClassVar

import flax.struct
import jax
import jax.numpy as jnp

from mirage_jax.arrays import Array, Bool, Float
from mirage_jax.memory.baselines.oracle import Oracle
from mirage_jax.memory.contract import (
  Law,
  Memory,
  MemoryState,
  Observed,
  Readout,
  Views,
  check_alike,
)


@flax.struct.dataclass
class Picture(MemoryState):
  """The one picture that a `Still` keeps.

  Attributes:
    rgb: `[h, w, 3]` in [-1, 1].
    depth_m: `[h, w]` z-depth.
    there: whether anything was written.
  """

  rgb: Float[Array, 'h w 3']
  depth_m: Float[Array, 'h w']
  there: Bool[Array, '']


@dataclasses.dataclass(frozen=True)
class Still(Memory):
  """A memory that shows one written picture, wherever it is asked from.

  Attributes:
    height: of the pictures.
    width: of the pictures.
    last: whether it is the last one that was written, or the first.
  """

  height: int
  width: int
  last: bool
  claims: ClassVar[frozenset[Law]] = frozenset({Law.CONSTANT, Law.MERGE})

  def init(self, frame: Float[Array, '4 4']) -> Picture:
    """No picture."""
    nothing = jnp.zeros((self.height, self.width))
    return Picture(
      frame=jnp.asarray(frame, jnp.float32),
      overflow=jnp.bool_(False),
      rgb=jnp.zeros((*nothing.shape, 3)),
      depth_m=nothing,
      there=jnp.bool_(False),
    )

  def observe(self, state: Picture, observed: Observed) -> Picture:
    """Takes the first or the last of these frames."""
    at = -1 if self.last else 0
    return dataclasses.replace(
      state,
      rgb=observed.features[at, ..., :3],
      depth_m=observed.depth_m[at],
      there=jnp.bool_(True),
    )

  def write(self, state: Picture, observation: Picture) -> Picture:
    """The picture that is kept from now on."""
    return self.merge(state, observation)

  def read(self, state: Picture, views: Views) -> Readout:
    """Returns the picture for every view."""
    shape = (len(views.cameras.intrinsics), views.height, views.width)
    sure = jnp.broadcast_to(state.there.astype(jnp.float32), shape)
    return Readout(
      features=jnp.broadcast_to(state.rgb, (*shape, 3)),
      depth_m=jnp.broadcast_to(state.depth_m, shape),
      opacity=sure,
      confidence=sure,
    )

  def merge(self, first: Picture, second: Picture) -> Picture:
    """Takes the first or the last of two, if both are there.

    Raises:
      ValueError: other frames or layouts.
    """
    check_alike(first, second)
    one, other = (second, first) if self.last else (first, second)
    return jax.tree.map(lambda a, b: jnp.where(one.there, a, b), one, other)


def make_baselines(height: int, width: int) -> dict[str, Memory]:
  """Makes the baselines of a suite whose frames have this size, by name."""
  return {
    'oracle': Oracle(height, width),
    'copy_first_frame': Still(height, width, last=False),
    'frozen_video': Still(height, width, last=True),
  }
