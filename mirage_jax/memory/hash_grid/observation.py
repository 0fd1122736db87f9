"""From posed depth images to what is written: quantised points and weights."""

import flax.struct
import jax
import jax.numpy as jnp

from mirage_jax.arrays import Array, Float, Int
from mirage_jax.geometry import cameras as pinhole
from mirage_jax.geometry.cameras import Cameras
from mirage_jax.geometry.contraction import contract
from mirage_jax.memory.contract import Observed, check_shapes
from mirage_jax.memory.hash_grid import lattice as addressing
from mirage_jax.memory.hash_grid import table
from mirage_jax.memory.tables.sums import as_float, quantise_features


@flax.struct.dataclass
class Observation:
  """Observation of a hash grid: p surface points, q free-space points.

  Attributes:
    points: `[p, 3]` int32 lattice units in the scene's frame.
    contracted: the same for a contracted level, None without one.
    features: `[p, f]` float32 in [-1, 1], or int32 in 0 ... 255 if exact.
    weight: `[p]` int32 in 0 ... 63, 0 = nothing is written.
    finest: `[p]` int32, the finest level that the point is written to.
    generated: `[p]` int32, 1 where a model made the point up.
    free_points, free_contracted, free_weight: likewise of empty space.
  """

  points: Int[Array, 'p 3']
  contracted: Int[Array, 'p 3'] | None
  features: Array
  weight: Int[Array, 'p']
  finest: Int[Array, 'p']
  generated: Int[Array, 'p']
  free_points: Int[Array, 'q 3']
  free_contracted: Int[Array, 'q 3'] | None
  free_weight: Int[Array, 'q']


def observe(config, state, observed: Observed) -> Observation:
  """Quantises posed depth images; see `HashGrid.observe`."""
  check_shapes(config.features, observed)
  generated = observed.generated
  cameras = pinhole.relative_to(observed.cameras, state.frame)
  cameras, depth_m, weight = jax.lax.stop_gradient(
    (cameras, observed.depth_m, observed.weight)
  )
  weight = jnp.where(depth_m > 0, weight.astype(jnp.float32), 0)
  points = pinhole.unproject(cameras, depth_m)
  footprint = depth_m * _pixel_width(cameras, depth_m.shape[-1])
  if generated:
    weight = weight * _unknown(config, state, points.reshape(-1, 3)).reshape(
      weight.shape
    )
  free_points, free_weight = _free_space(config, cameras, depth_m, weight)
  lattice, contracted = _lattices(config, points)
  free_lattice, free_contracted = _lattices(config, free_points)
  sharp = jnp.minimum(1, (config.sharp_m / jnp.maximum(footprint, 1e-6)) ** 2)
  return Observation(
    points=lattice,
    contracted=contracted,
    features=quantise_features(observed.features, config.exact),
    weight=_quantise_weight(weight * sharp).reshape(-1),
    finest=_finest_level(config, footprint).reshape(-1),
    generated=jnp.full(depth_m.size, int(generated), jnp.int32),
    free_points=free_lattice,
    free_contracted=free_contracted,
    free_weight=_quantise_weight(free_weight).reshape(-1),
  )


def _pixel_width(cameras: Cameras, width: int) -> Float[Array, 't 1 1']:
  """Metres that a pixel covers at a depth of one metre."""
  return 1 / (cameras.intrinsics[:, 0, None, None] * width)


def _finest_level(config, footprint):
  """Finest level whose cells are not much smaller than the footprint."""
  too_fine = [
    (v.cell_m * config.finest_footprint < footprint) for v in config.levels[1:]
  ]
  levels = len(config.levels) - 1
  return (
    levels
    - sum(x.astype(jnp.int32) for x in too_fine)
    + jnp.zeros(footprint.shape, jnp.int32)
  )


def _quantise_weight(weight):
  """Weights of 0 ... 1 as 0 ... 63; what has any weight keeps at least 1."""
  units = jnp.clip(jnp.round(weight * table.WEIGHT), 1, table.WEIGHT)
  return jnp.where(weight > 0, units, 0).astype(jnp.int32)


def _lattices(config, points):
  """Lattice units of metric points, plain and contracted."""
  points = points.reshape(-1, 3)
  unit_m = config.levels[-1].cell_m / addressing.FRACTION
  plain = addressing.quantise(points, unit_m)
  if not config.radius_m:
    return plain, None
  far = contract(points, config.radius_m)
  return plain, addressing.quantise(far, unit_m)


def _free_space(config, cameras, depth_m, weight):
  """Points in front of the surfaces of every few pixels, and their weight.

  A ray's points are spread from the camera to a margin before its surface,
  shifted from ray to ray so that together they leave no gaps. A point stands
  for the length of its ray: its weight is the cells that this covers.
  """
  stride, count = config.free_stride, config.free_samples
  half = stride // 2
  cut = (slice(None), slice(half, None, stride), slice(half, None, stride))
  origins, directions = pinhole.rays(cameras, *depth_m.shape[-2:])
  origins, directions = origins[cut], directions[cut]
  depth, ray_weight = depth_m[cut], weight[cut]
  cell = config.levels[config.evidence_levels - 1].cell_m
  end = depth - config.free_margin * cell
  height, width = depth.shape[-2:]
  column, row = jnp.arange(width), jnp.arange(height)[:, None]
  shift = ((column * 5 + row * 3) % 8 + 0.5) / 8
  at = (jnp.arange(count) + shift[..., None]) / count  # [h, w, s]
  along = at * end[..., None]
  points = origins[..., None, :] + along[..., None] * directions[..., None, :]
  footprint = along * _pixel_width(cameras, depth_m.shape[-1])[..., None]
  sharp = jnp.minimum(1, (config.sharp_m / jnp.maximum(footprint, 1e-6)) ** 2)
  cells = end[..., None] / (count * cell)
  share = jnp.where(along > config.near_m, sharp * cells, 0)
  return points, jnp.where(end[..., None] > 0, share * ray_weight[..., None], 0)


def _unknown(config, state, points):
  """Weight of generated points: small where much is known already."""
  level = config.levels[config.evidence_levels - 1]
  lattice, contracted = _lattices(config, points)
  lattice = contracted if level.contracted else lattice
  assert lattice is not None  # a contracted level has contracted units
  row, _, inside = addressing.place(level, lattice)
  known = as_float(state.geometry)[row, 3] * inside
  known = jax.lax.stop_gradient(known)
  return config.generated_weight / (1 + known / table.WEIGHT)
