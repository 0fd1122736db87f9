"""A radiance field in tables of a hash grid that are fitted, not written.

Instant-NGP (arXiv 2201.05989): features of a point are read from the rows of
its cells on several levels, and two small networks make density and colour of
them. Rows are found as those of a written hash grid; between cells, features
are mixed trilinearly, so that gradients reach the points' rows. A coarse level
of its own, the proposal, holds evidence of where surfaces are and places the
samples of a ray (mip-NeRF 360, arXiv 2111.12077, section 3).

Lengths are in units of the scene's radius; space beyond it is contracted.
"""

import dataclasses

import flax.linen as nn
import flax.struct
import jax
import jax.numpy as jnp

from mirage_jax.arrays import Array, Float
from mirage_jax.geometry.contraction import contract
from mirage_jax.geometry.rendering import composite, composite_weights
from mirage_jax.memory.hash_grid import lattice

EXTENT = 4.0  # edge of the cube round the contracted ball, radii
LOG_DENSITY = (-15.0, 9.0)
GAIN = 10.0  # of the proposal, that it may change as fast as the networks
NEAR_BY = 0.05  # of a depth
CORNERS = tuple((i & 1, i >> 1 & 1, i >> 2) for i in range(8))


@dataclasses.dataclass(frozen=True)
class Layout:
  """Size of a field.

  Attributes:
    sides: cells along the cube of every level, coarse to fine.
    entries: rows of a level, a power of two; levels that fit are dense.
    features: of a row.
    hidden: width of both networks.
    proposal_side: cells along the cube of the level that places samples, a
      power of two; it is dense.
    proposals, samples: intervals of a ray of the first and second pass.
    near, far: z-depths that rays cover, radii.
  """

  sides: tuple[int, ...] = (32, 64, 128, 256, 512, 1024)
  entries: int = 2**17
  features: int = 4
  hidden: int = 32
  proposal_side: int = 64
  proposals: int = 32
  samples: int = 16
  near: float = 0.05
  far: float = 30.0

  @property
  def levels(self) -> tuple[lattice.Level, ...]:
    """The lattices of the features."""
    cells = tuple(EXTENT / side for side in self.sides)
    rows = tuple(min(self.entries, side**3) for side in self.sides)
    return lattice.make_levels(cells, rows, EXTENT, 0.0)

  @property
  def proposal(self) -> lattice.Level:
    """The lattice that places samples."""
    side = self.proposal_side
    return lattice.make_levels((EXTENT / side,), (side**3,), EXTENT, 0.0)[0]


@flax.struct.dataclass
class Rays:
  """Rendered rays of a field.

  Attributes:
    rgb: `[r, 3]` colour in [0, 1], over no background.
    opacity: `[r]` share of the light that ends in the field.
    weights: `[r, s]` share that ends in every interval.
    edges: `[r, s + 1]` the intervals, as `spaced` depths.
    first_weights, first_edges: the same of the first pass.
  """

  rgb: Float[Array, 'r 3']
  opacity: Float[Array, 'r']
  weights: Float[Array, 'r s']
  edges: Float[Array, 'r _']
  first_weights: Float[Array, 'r p']
  first_edges: Float[Array, 'r _']


class Field(nn.Module):
  """The parameters: tables and networks.

  Attributes:
    layout: its size.
  """

  layout: Layout

  def setup(self):
    """Makes the parameters."""
    rows = sum(level.entries for level in self.layout.levels)
    small = nn.initializers.uniform(2e-4)
    self.table = self.param('table', small, (rows, self.layout.features))
    self.proposal = self.param(
      'proposal', nn.initializers.zeros, (self.layout.proposal.entries, 1)
    )
    self.density_in = nn.Dense(self.layout.hidden)
    self.density_out = nn.Dense(16)
    self.colour_in = nn.Dense(self.layout.hidden)
    self.colour_out = nn.Dense(3)

  def __call__(
    self, origins: Float[Array, 'r 3'], directions: Float[Array, 'r 3'], key
  ) -> Rays:
    """Casts rays; without a key, intervals of the first pass are equal.

    Args:
      origins: `[r, 3]` radii.
      directions: `[r, 3]`, long as z-depth 1.
      key: jitters the intervals; None for the middle.
    """
    layout = self.layout
    keys = (None, None) if key is None else jax.random.split(key)
    first = first_edges(layout, len(origins), keys[0])
    points, lengths = _points(first, origins, directions)
    raw = lookup(self.proposal, (layout.proposal,), points)[..., 0]
    raw = GAIN * raw
    first_weights, _ = _weights(raw, lengths)
    edges = resample(
      first, jax.lax.stop_gradient(first_weights), layout.samples, keys[1]
    )
    points, lengths = _points(edges, origins, directions)
    raw, rgb = self.look(points, directions)
    near = jnp.minimum(unspaced((edges[:, 1:] + edges[:, :-1]) / 2) ** 2, 1)
    raw, rgb = _damp(raw, near), _damp(rgb, near[..., None])
    weights, passing = _weights(raw, lengths)
    return Rays(
      composite(weights, rgb), 1 - passing, weights, edges, first_weights, first
    )

  def look(
    self, points: Float[Array, 'r s 3'], directions: Float[Array, 'r 3']
  ) -> tuple[Float[Array, 'r s'], Float[Array, 'r s 3']]:
    """Logarithm of the density (per radius), and colour, at points."""
    features = lookup(self.table, self.layout.levels, points)
    flat = features.reshape(-1, features.shape[-1])
    out = self.density_out(nn.relu(self.density_in(flat)))
    unit = directions / jnp.linalg.norm(directions, axis=-1, keepdims=True)
    view = jnp.repeat(_harmonics(unit), points.shape[1], axis=0)
    hidden = nn.relu(self.colour_in(jnp.concatenate([out[:, 1:], view], 1)))
    rgb = nn.sigmoid(self.colour_out(hidden))
    shape = points.shape[:2]
    return out[:, 0].reshape(shape), rgb.reshape(*shape, 3)


def lookup(
  table: Float[Array, 'e f'],
  levels: tuple[lattice.Level, ...],
  points: Float[Array, '*batch 3'],
) -> Float[Array, '*batch lf']:
  """Features of points in the contracted cube, mixed from 8 cells a level."""
  found = []
  corners = jnp.array(CORNERS).reshape(8, *(1,) * (points.ndim - 1), 3)
  for level in levels:
    place = points / level.cell_m - 0.5
    base = jnp.floor(place)
    within = place - base
    row, inside = lattice.find_rows(level, base.astype(jnp.int32) + corners)
    share = jnp.where(corners == 1, within, 1 - within).prod(-1)
    share = jnp.where(inside, share, 0)  # [8, *batch]
    found.append((share[..., None] * table[row]).sum(0))
  return jnp.concatenate(found, axis=-1)


def spaced(depth: Float[Array, '*batch']) -> Float[Array, '*batch']:
  """Depth up to a radius, disparity beyond: as `contract` has distances."""
  return jnp.where(depth > 1, 2 - 1 / jnp.maximum(depth, 1), depth)


def unspaced(place: Float[Array, '*batch']) -> Float[Array, '*batch']:
  """Inverse of `spaced`."""
  return jnp.where(place > 1, 1 / jnp.maximum(2 - place, 1e-6), place)


def first_edges(layout: Layout, rays: int, key) -> Float[Array, 'r _']:
  """Equal intervals of the first pass, all shifted a little by a key."""
  low, high = (spaced(jnp.float32(x)) for x in (layout.near, layout.far))
  at = jnp.linspace(low, high, layout.proposals + 1)
  at = jnp.broadcast_to(at, (rays, layout.proposals + 1))
  if key is None:
    return at
  step = (high - low) / layout.proposals
  shift = jax.random.uniform(key, at.shape, minval=-0.5, maxval=0.5)
  inner = at[:, 1:-1] + step * shift[:, 1:-1]
  return jnp.concatenate([at[:, :1], inner, at[:, -1:]], axis=1)


def resample(
  edges: Float[Array, 'r _'], weights: Float[Array, 'r p'], count: int, key
) -> Float[Array, 'r _']:
  """Edges of `count` intervals that hold equal shares of the weights."""
  share = weights + 0.01 / weights.shape[1]
  total = jnp.cumsum(share, axis=1)
  below = jnp.concatenate([jnp.zeros_like(total[:, :1]), total], axis=1)
  below = below / total[:, -1:]
  u = jnp.linspace(0, 1, count + 1)
  u = jnp.broadcast_to(u, (len(edges), count + 1))
  if key is not None:
    shift = jax.random.uniform(key, (len(edges), 1), minval=-0.5, maxval=0.5)
    u = jnp.clip(u + shift / count, 0, 1)
  return jax.vmap(jnp.interp)(u, below, edges)


def median_depth(rays: Rays) -> tuple[Float[Array, 'r'], Float[Array, 'r']]:
  """Finds where half of the light has ended, and the share that ends near."""
  total = jnp.cumsum(rays.weights, axis=1)
  below = jnp.concatenate([jnp.zeros_like(total[:, :1]), total], axis=1)
  depths = unspaced(rays.edges)
  # Light is taken to end evenly within an interval.
  below = below + 1e-7 * jnp.arange(below.shape[1])  # an order for `interp`
  depth = jax.vmap(jnp.interp)(below[:, -1:] / 2, below, depths)[:, 0]
  ends = depth[:, None] * jnp.array([1 - NEAR_BY, 1 + NEAR_BY])
  low, high = jax.vmap(jnp.interp)(ends, depths, below).T
  return depth, high - low


def _points(edges, origins, directions):
  """Contracted points amid intervals, and the intervals' lengths in radii."""
  depth = unspaced((edges[:, 1:] + edges[:, :-1]) / 2)
  points = origins[:, None] + depth[..., None] * directions[:, None]
  length = jnp.diff(unspaced(edges), axis=1)
  length = length * jnp.linalg.norm(directions, axis=-1)[:, None]
  return contract(points, 1.0), length


def _weights(raw, lengths):
  """Weights of intervals from logarithms of densities; what passes."""
  density = jnp.exp(jnp.clip(raw, *LOG_DENSITY))
  return composite_weights(1 - jnp.exp(-density * lengths))


def _damp(x, share):
  """`x`, its gradient scaled.

  Points near a camera are seen by few, but sampled most: without this, fog
  gathers before the cameras (Philip and Deschaintre, arXiv 2305.02756).
  """
  return share * x + jax.lax.stop_gradient((1 - share) * x)


def _harmonics(unit: Float[Array, 'r 3']) -> Float[Array, 'r 9']:
  """Polynomials of directions up to the second degree."""
  x, y, z = unit.T
  return jnp.stack(
    [jnp.ones_like(x), x, y, z, x * y, y * z, z * x, x * x - y * y, z * z], 1
  )
