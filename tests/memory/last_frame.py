"""A whole memory, as the docs print it."""

import dataclasses

import flax.struct
import jax
import jax.numpy as jnp

from mirage_jax.arrays import Array
from mirage_jax.geometry import cameras as pinhole
from mirage_jax.memory.baselines.point_cloud import splat
from mirage_jax.memory.contract import Law, Memory, MemoryState


@flax.struct.dataclass
class Picture(MemoryState):
  points: Array
  features: Array
  known: Array


@dataclasses.dataclass(frozen=True)
class LastFrame(Memory):
  """The frame that was written last, drawn from elsewhere by its depth."""

  height: int
  width: int
  claims = frozenset({Law.CONSTANT, Law.HONEST})
  from_layout = ('height', 'width')

  def init(self, frame):
    points = jnp.zeros((self.height * self.width, 3))
    return Picture(frame, jnp.bool_(False), points, points, points[:, 0] > 0)

  def observe(self, state, observed):
    points = pinhole.unproject(observed.cameras, observed.depth_m)[-1]
    known = (observed.weight > 0) & (observed.depth_m > 0)
    features, known = observed.features[-1, ..., :3], known[-1].reshape(-1)
    rows = points.reshape(-1, 3), features.reshape(-1, 3), known
    return Picture(state.frame, state.overflow, *rows)

  def write(self, state, observation):
    return observation

  def read(self, state, views):
    rows, size = (state.points, state.features), (views.height, views.width)
    draw = lambda camera: splat(*rows, camera, state.known, *size)
    return jax.lax.map(draw, views.cameras)
