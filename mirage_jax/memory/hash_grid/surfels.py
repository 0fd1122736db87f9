"""Entries read as surfels: a mean position, features, and how sure they are."""

import dataclasses

import flax.struct
import jax
import jax.numpy as jnp

from mirage_jax.arrays import Array, Float, Int
from mirage_jax.geometry.contraction import contract, stretch, uncontract
from mirage_jax.memory.hash_grid import lattice
from mirage_jax.memory.tables import sharded, sums

FRACTION = lattice.FRACTION
TOLERANCE = 1  # 1/32 cells that a mean may lie outside its own


@flax.struct.dataclass
class Surfaces:
  """The geometry of a state's rows, packed into words: one gather each.

  Attributes:
    means: `[e]` uint32: mean position in the cell's block (three times 8 bits,
      in 1/32 cells), and 8 bits of how much evidence there is, 0 = none.
    occupied: `[e]` uint32 (evidence levels): recent and older weight, bf16;
      the last 4 bits are the share that a model made up.
    free: recent and older weight of the rows of free space.
  """

  means: Int[Array, 'e']
  occupied: Int[Array, 'e']
  free: Int[Array, 'e']


@flax.struct.dataclass
class Samples:
  """Samples of the second pass at each hit.

  Attributes:
    alpha: `[r, s]` opacity.
    depth_m: `[r, s]` z-depth of the surfels.
    features: `[r, s, f]` their mean.
    sureness: `[r, s]` mean sureness of the surfels.
    spread: `[r, s]` standard deviation of their depths, metres.
    generated: `[r, s]` share of generated evidence.
  """

  alpha: Float[Array, 'r s']
  depth_m: Float[Array, 'r s']
  features: Float[Array, 'r s f']
  sureness: Float[Array, 'r s']
  spread: Float[Array, 'r s']
  generated: Float[Array, 'r s']


def prepare(config, state) -> tuple[Float[Array, 'e f'], Surfaces]:
  """Mean features and geometry of all rows of a state."""
  geometry = sums.as_float(state.geometry)
  weight = geometry[:, 3:]
  held = weight > 0
  each = jnp.where(held, 1 / jnp.where(held, weight, 1), 0)
  features = sums.as_float(state.features) * each
  if config.exact:
    features = jnp.where(held, sums.unquantise(features), 0)
  units = jnp.round(geometry[:, :3] * each)
  total = weight[:, 0]
  sure = jnp.where(total > 0, total / (total + config.weight_half), 0)
  occupied = sums.as_float(state.occupied)
  free = sums.as_float(state.free)
  total = occupied[:, 1]
  generated = jnp.clip(occupied[:, 2] / jnp.maximum(total, 1), 0, 1)
  made = jnp.round(15 * generated).astype(jnp.uint32)
  return features, Surfaces(
    means=_pack(units, sure),
    occupied=_pair(occupied[:, 0], total) >> 4 << 4 | made,
    free=_pair(free[:, 0], free[:, 1]),
  )


def _pack(units, share):
  """Positions of 0 ... 255 and a share of 0 ... 1 in one uint32."""
  x, y, z = (jnp.clip(units[:, i], 0, 255).astype(jnp.uint32) for i in range(3))
  last = jnp.ceil(jnp.clip(share, 0, 1) * 255).astype(jnp.uint32)
  return x | y << 8 | z << 16 | last << 24


def _pair(recent, total):
  """Recent and older evidence as two bfloat16 in one uint32."""
  recent = jnp.clip(recent, 0)
  older = jnp.clip(total - recent, 0)
  halves = jnp.stack([recent, older]).astype(jnp.bfloat16)
  bits = jax.lax.bitcast_convert_type(halves, jnp.uint16).astype(jnp.uint32)
  return bits[0] << 16 | bits[1]


def _unpair(word):
  """Recent and older evidence."""
  recent = jax.lax.bitcast_convert_type(word >> 16 << 16, jnp.float32)
  return recent, jax.lax.bitcast_convert_type(word << 16, jnp.float32)


def occupancy(config, surfaces, which, row, cells):
  """Probability that cells of evidence levels are occupied; generated share.

  Older evidence is worth no more than `older_cap`, however much there is, and
  recent free evidence vetoes it: a place is what it was last seen to be.
  """
  free_row, _ = lattice.rows_of(config.free_levels, which, cells)
  word = sharded.take(surfaces.occupied, row)
  recent, older = _unpair(word)
  recent_free, older_free = _unpair(sharded.take(surfaces.free, free_row))
  recent_free, older_free = (
    config.free_gain * x for x in (recent_free, older_free)
  )
  scale = config.older_cap / (config.older_cap + older + older_free)
  veto = config.veto_gain * jnp.maximum(recent_free - recent, 0)
  older = older * config.older_cap / (config.older_cap + veto)
  occupied = recent + scale * older
  free = recent_free + scale * older_free
  generated = (word & 15).astype(jnp.float32) / 15
  return occupied / (occupied + free + config.occupied_half), generated


def meet(config, word, cells, cell, contracted, origins, directions):
  """Intersects rays with packed surfels of voxels `[..., 3]`.

  A surfel outside its own cell is somebody else's (rows may collide): it
  counts as empty.

  Returns:
    z-depth along the ray, squared distance from it, squared metres, and the
    share in the word, 0 if empty.
  """
  sharded, held = [], (word >> 24) > 0
  for i in range(3):
    place = (word >> (8 * i) & 255).astype(jnp.int32)
    within = place - (cells[..., i] & (lattice.BLOCK - 1)) * FRACTION
    held &= (within >= -TOLERANCE) & (within < FRACTION + TOLERANCE)
    within = (within.astype(jnp.float32) + 0.5) / FRACTION
    sharded.append((cells[..., i].astype(jnp.float32) + within) * cell)
  points = jnp.stack(sharded, axis=-1)
  if config.radius_m:
    points = jnp.where(contracted, uncontract(points, config.radius_m), points)
  offset = points - origins
  length = (directions**2).sum(-1)
  depth = (offset * directions).sum(-1) / length
  distance = jnp.maximum((offset**2).sum(-1) - depth**2 * length, 0)
  share = (word >> 24).astype(jnp.float32) / 255
  return depth, distance, jnp.where(held & (depth > 0), share, 0)


def fall_off(squared_distance, radius):
  """A Gaussian of this radius, cut off: (1 - q / 8)^4 = exp(-q / 2) nearly."""
  near = jnp.maximum(1 - squared_distance / (8 * radius**2), 0)
  return (near * near) ** 2


def is_contracted(config, which):
  """Tests if levels `which` are contracted, with an axis for coordinates."""
  return jnp.array([v.contracted for v in config.levels])[which][..., None]


def to_levels(config, which, points):
  """Coordinates of metric points on levels, and metres per level metre."""
  if not config.radius_m:
    return points, 1.0
  contracted = is_contracted(config, which)
  local = jnp.where(contracted, contract(points, config.radius_m), points)
  scale = stretch(points, config.radius_m)
  return local, jnp.where(contracted[..., 0], scale, 1.0)


def choose_levels(config, footprint) -> Int[Array, 'r s']:
  """The finest level that a pixel of this footprint can resolve."""
  coarser = jnp.zeros(footprint.shape, jnp.int32)
  for level in config.levels[1:]:
    coarser += level.cell_m < config.footprint_bias * footprint
  return len(config.levels) - 1 - coarser


def look(config, features, surfaces, rays, hits) -> Samples:
  """Looks at the surfels round every hit, coarser ones where fine are none."""
  depth = hits.depth_m
  chosen = choose_levels(config, depth * rays.pixel_m[:, None])
  for i in range(config.refinements, 0, -1):
    coarser = jnp.maximum(chosen - i, 0)
    _, found, alpha = _gather(config, surfaces, rays, depth, coarser)
    depth = jnp.where(alpha > 0.1, found, depth)
  found = _round(config, features, surfaces, rays, depth, chosen)
  for i in range(1, config.fallbacks + 1):
    coarser = jnp.maximum(chosen - i, 0)
    coarse = _round(config, features, surfaces, rays, depth, coarser)
    found = _mix(found, coarse)
  gate = jnp.clip(hits.evidence / config.gate_full, 0, 1)
  alpha = jnp.where(hits.depth_m > 0, found.alpha * gate, 0)
  return dataclasses.replace(found, alpha=alpha, generated=hits.generated)


def _mix(fine, coarse):
  """The fine samples where they are opaque, the coarse ones elsewhere."""
  total = fine.alpha + (1 - fine.alpha) * coarse.alpha
  share = fine.alpha / jnp.maximum(total, 1e-6)

  def blend(a, b):
    part = share.reshape(share.shape + (1,) * (a.ndim - 2))
    return part * a + (1 - part) * b

  return jax.tree.map(blend, fine, coarse).replace(alpha=total)


def _gather(config, surfaces, rays, depth, which):
  """The surfels of the 2 x 2 x 2 cells round points of rays.

  Returns:
    rows, depths and weights `[8]` of `[r, s]`, the mean depth, and alpha.
  """
  cell = jnp.array([v.cell_m for v in config.levels])[which]
  origins, directions = rays.origins[:, None], rays.directions[:, None]
  points = origins + depth[..., None] * directions  # [r, s, 3]
  local, scale = to_levels(config, which, points)
  contracted = is_contracted(config, which)
  base = jnp.floor(local / cell[..., None] - 0.5).astype(jnp.int32)
  radius = config.kernel * jnp.maximum(
    cell * scale, depth * rays.pixel_m[:, None]
  )
  corners = []
  for corner in range(8):
    shift = jnp.array([corner & 1, corner >> 1 & 1, corner >> 2])
    cells = base + shift
    row, inside = lattice.rows_of(config.levels, which, cells)
    word = sharded.take(surfaces.means, row)
    at, distance, sure = meet(
      config, word, cells, cell, contracted, origins, directions
    )
    weight = jnp.where(inside, sure * fall_off(distance, radius), 0)
    corners.append((row, at, weight))
  total = sum(weight for _, _, weight in corners)
  mean = sum(at * weight for _, at, weight in corners)
  mean = mean / jnp.maximum(total, 1e-6)
  return corners, mean, jnp.clip(config.surfel_gain * total, 0, 1)


def _round(config, features, surfaces, rays, depth, which) -> Samples:
  """Aggregates the surfels of the 2 x 2 x 2 cells round points of rays."""
  corners, mean, alpha = _gather(config, surfaces, rays, depth, which)
  total = sum(weight for _, _, weight in corners)
  each = 1 / jnp.maximum(total, 1e-6)
  spread = sum(weight * (at - mean) ** 2 for _, at, weight in corners) * each
  mixed = sum(
    (weight * each)[..., None] * sharded.take(features, row)
    for row, _, weight in corners
  )
  return Samples(
    alpha=alpha,
    depth_m=mean,
    features=jnp.asarray(mixed),
    sureness=sum(weight**2 for _, _, weight in corners) * each,
    spread=jnp.sqrt(spread),
    generated=jnp.zeros_like(mean),
  )
