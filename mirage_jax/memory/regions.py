"""Regions of space that a memory can forget."""

import dataclasses

import flax.struct
import jax.numpy as jnp
import numpy as np

from mirage_jax.arrays import Array, Bool, Float

Point = tuple[float | int, float | int, float | int]


@dataclasses.dataclass(frozen=True)
class Box:
  """A box along the scene frame's axes, metres."""

  low: Point
  high: Point

  def meets(
    self, low: Float[Array, 'c 3'], high: Float[Array, 'c 3']
  ) -> Bool[Array, 'c']:
    """Tests whether the boxes low ... high touch this one."""
    below, above = jnp.asarray(self.high), jnp.asarray(self.low)
    return jnp.all((low <= below) & (high >= above), axis=-1)


@dataclasses.dataclass(frozen=True)
class Sphere:
  """A ball in the scene's frame, metres."""

  centre: Point
  radius: float | int

  @property
  def low(self) -> tuple[float, ...]:
    """Lower corner of the box round the ball."""
    return tuple(x - self.radius for x in self.centre)

  @property
  def high(self) -> tuple[float, ...]:
    """Upper corner of the box round the ball."""
    return tuple(x + self.radius for x in self.centre)

  def meets(
    self, low: Float[Array, 'c 3'], high: Float[Array, 'c 3']
  ) -> Bool[Array, 'c']:
    """Tests whether the boxes low ... high touch the ball."""
    nearest = np.clip(self.centre, low, high)
    distance = ((nearest - self.centre) ** 2).sum(-1)
    return distance <= self.radius**2


Region = Box | Sphere


@flax.struct.dataclass
class Erased:
  """Numbers of the rows that went when a region was forgotten.

  Attributes:
    rows: rows that held surfaces and were emptied.
    elsewhere: those of them that held content from outside the region's cells
      (collisions), judged by their mean position.
  """

  rows: int
  elsewhere: int


def check_region(region: Region) -> None:
  """Raises ValueError for a region without a volume."""
  if not all(a < b for a, b in zip(region.low, region.high, strict=True)):
    raise ValueError(f'{region} is empty; its low must be below its high')
