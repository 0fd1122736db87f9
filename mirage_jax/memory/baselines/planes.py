"""Feature planes of fixed size, written feed-forward and rendered.

After Honeycomb (arXiv 2609.37690): points with learned features are projected
onto three axis-aligned planes, of a near and of a far scale, six in all, and
averaged where they meet. A view marches rays; a sample takes the features of
its places on all planes, a small network turns them into density and features,
and volume rendering into one feature a cell of the picture.

Constant bytes and cost. Sums are float32, so the order of writes and merging
hold up to rounding, and what was forgotten may leave its rounding behind. A
plane cell holds all that projects onto it, from wherever in the room.
"""

import dataclasses
from typing import ClassVar

import flax.linen as nn
import flax.struct
import jax
import jax.numpy as jnp

from mirage_jax.arrays import Array, Float
from mirage_jax.geometry import cameras as pinhole
from mirage_jax.geometry.contraction import contract
from mirage_jax.geometry.rendering import composite, composite_weights
from mirage_jax.memory.contract import (
  Law,
  Memory,
  MemoryState,
  Observed,
  Readout,
  Views,
  check_alike,
  check_shapes,
  empty_readout,
)

AXES = ((0, 1), (0, 2), (1, 2))


@flax.struct.dataclass
class PlanesState(MemoryState):
  """Sums over all that was written.

  Attributes:
    planes: `[p, n, n, 1 + f]` weight and weighted features of the p planes.
  """

  planes: Float[Array, 'p n n f']


@flax.struct.dataclass
class PlanesObservation:
  """Points of the scene's frame, metres, and rows of weight and features."""

  points: Float[Array, 'q 3']
  rows: Float[Array, 'q f']


class Decoder(nn.Module):
  """From a sample's features on all planes to density and features.

  Attributes:
    width: of the hidden layer.
    features: that are rendered.
  """

  width: int
  features: int

  @nn.compact
  def __call__(
    self, x: Float[Array, 's f']
  ) -> tuple[Float[Array, 's'], Float[Array, 's g']]:
    """Density a metre, and features."""
    x = jax.nn.gelu(nn.Dense(self.width, name='hidden')(x))
    out = nn.Dense(1 + self.features, name='out')(x)
    return jax.nn.softplus(out[:, 0] - 1.0), out[:, 1:]


@dataclasses.dataclass(frozen=True)
class Planes(Memory):
  """The configuration of six planes.

  Attributes:
    features: features of a point, rgb first.
    size: cells along a side of a plane.
    reach_m: half the side of the near and of the far planes; both are
      contracted beyond half of that.
    cell: pixels along a side of a rendered cell.
    samples: along a ray, evenly in disparity.
    near_m: first sample.
    far_m: last sample.
    width: of the network's hidden layer.
    rendered: features of a rendered cell.
  """

  features: int = 3
  size: int = 128
  reach_m: tuple[float, ...] = (4.0, 16.0)
  cell: int = 4
  samples: int = 32
  near_m: float = 0.3
  far_m: float = 30.0
  width: int = 64
  rendered: int = 16
  claims: ClassVar[frozenset[Law]] = frozenset(
    {
      Law.CONSTANT,
      Law.ORDER_FREE,
      Law.MERGE,
      Law.FORGET,
      Law.LOCAL,
      Law.HONEST,
    }
  )
  renders: ClassVar[bool] = False
  from_layout: ClassVar[tuple[str, ...]] = ('features',)

  @property
  def tolerance(self) -> float:
    """Float sums are rounded."""
    return 1e-3

  def layers(self) -> nn.Module:
    """The decoder of samples."""
    return Decoder(self.width, self.rendered)

  def init(self, frame: Float[Array, '4 4']) -> PlanesState:
    """Empty planes; `frame` (world_from_scene) gives their axes."""
    count = len(AXES) * len(self.reach_m)
    return PlanesState(
      frame=jnp.asarray(frame, jnp.float32),
      planes=jnp.zeros((count, self.size, self.size, 1 + self.features)),
      overflow=jnp.bool_(False),
    )

  def observe(
    self, state: PlanesState, observed: Observed
  ) -> PlanesObservation:
    """Makes a point of every pixel with depth, generated or not."""
    check_shapes(self.features, observed)
    depth_m, weight = observed.depth_m, observed.weight
    cameras = pinhole.relative_to(observed.cameras, state.frame)
    points = pinhole.unproject(cameras, depth_m).reshape(-1, 3)
    weight = jnp.where(depth_m > 0, weight, 0).reshape(-1, 1)
    rows = observed.features.reshape(-1, self.features) * weight
    rows = jnp.concatenate([weight, rows], -1)
    return PlanesObservation(jax.lax.stop_gradient(points), rows)

  def write(
    self,
    state: PlanesState,
    observation: PlanesObservation,
    layers: nn.Module | None = None,
  ) -> PlanesState:
    """Adds every point to its nearest cell of each plane."""
    del layers
    return self._add(state, observation, 1.0)

  def forget(
    self, state: PlanesState, observation: PlanesObservation
  ) -> PlanesState:
    """Takes an observation out again, up to rounding."""
    return self._add(state, observation, -1.0)

  def merge(self, first: PlanesState, second: PlanesState) -> PlanesState:
    """The sum of both; refuses other frames or layouts (ValueError)."""
    check_alike(first, second)
    return dataclasses.replace(first, planes=first.planes + second.planes)

  def read(
    self,
    state: PlanesState,
    views: Views,
    layers: nn.Module | None = None,
  ) -> Readout:
    """Renders features of every pixel group; no colours of its own."""
    assert layers is not None
    cameras = pinhole.relative_to(views.cameras, state.frame)
    cells = (views.height // self.cell, views.width // self.cell)
    origins, directions = pinhole.rays(cameras, *cells)  # [t, y, x, 3]
    disparity = jnp.linspace(1 / self.near_m, 1 / self.far_m, self.samples)
    z = 1 / disparity
    points = origins[..., None, :] + z[:, None] * directions[..., None, :]
    known, rows = self._look(state, points.reshape(-1, 3))
    density, features = layers(rows)
    shape = points.shape[:-1]
    step = jnp.diff(z, append=2 * z[-1] - z[-2])
    length = jnp.linalg.norm(directions, axis=-1, keepdims=True) * step
    alpha = 1 - jnp.exp(-(density * known).reshape(shape) * length)
    weights, _ = composite_weights(alpha)
    shown = composite(weights, features.reshape(*shape, -1))
    opacity = weights.sum(-1, keepdims=True)
    depth = (weights * jax.lax.rsqrt(1 + z**2)).sum(-1, keepdims=True)
    tokens = jnp.concatenate([shown, opacity, depth], -1)
    return empty_readout(views, tokens=tokens)

  def load_factor(self, state: PlanesState) -> Float[Array, ' l']:
    """Share of the cells of every plane that hold anything."""
    return (state.planes[..., 0] > 0).mean((1, 2))

  def _add(
    self, state: PlanesState, observation: PlanesObservation, sign: float
  ) -> PlanesState:
    at = jnp.floor(self._places(observation.points)).astype(jnp.int32)
    planes = jnp.stack(
      [
        plane.at[cell[:, 0], cell[:, 1]].add(sign * observation.rows)
        for plane, cell in zip(state.planes, at, strict=True)
      ]
    )
    return dataclasses.replace(state, planes=planes)

  def _places(self, points: Float[Array, 'q 3']) -> Float[Array, 'p q 2']:
    """Continuous cells of points on every plane, inside the plane."""
    places = []
    for reach in self.reach_m:
      inside = contract(points, reach / 2) / reach  # in a ball of 1
      cells = (inside + 1) / 2 * self.size
      cells = jnp.clip(cells, 0, self.size - 1e-3)
      places += [jnp.stack([cells[:, i] for i in axes], -1) for axes in AXES]
    return jnp.stack(places)

  def _look(
    self, state: PlanesState, points: Float[Array, 'q 3']
  ) -> tuple[Float[Array, 'q'], Float[Array, 'q f']]:
    """Tests whether the planes of a scale all know a place; their features.

    Bilinear over the four cells about it.
    """
    found = []
    at = self._places(points) - 0.5
    low = jnp.floor(at)
    rest = at - low
    for plane, first, share in zip(state.planes, low, rest, strict=True):
      total = jnp.zeros((len(points), 1 + self.features))
      for y in (0, 1):
        for x in (0, 1):
          part = jnp.where(jnp.array([y, x]) == 1, share, 1 - share).prod(-1)
          cell = jnp.clip(first + jnp.array([y, x]), 0, self.size - 1)
          cell = cell.astype(jnp.int32)
          total += part[:, None] * plane[cell[:, 0], cell[:, 1]]
      found.append(total)
    stacked = jnp.stack(found)  # [p, q, f]
    weight = stacked[..., :1]
    mean = stacked[..., 1:] / jnp.maximum(weight, 1e-3)
    sure = weight / (1 + weight)
    by_scale = (weight[..., 0] > 1e-3).reshape(len(self.reach_m), len(AXES), -1)
    known = by_scale.all(1).any(0).astype(jnp.float32)
    rows = jnp.concatenate([sure, mean], -1)
    return known, jnp.moveaxis(rows, 0, 1).reshape(len(points), -1)
