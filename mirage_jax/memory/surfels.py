"""Entries read as surfels: a mean position, features, and how sure they are."""

import flax.struct
import jax.numpy as jnp

from mirage_jax.arrays import Array, Float, Int
from mirage_jax.geometry.contraction import contract, stretch, uncontract
from mirage_jax.memory import addressing, tables

TOLERANCE = 0.05  # cells that a mean may lie outside its own


@flax.struct.dataclass
class Surfaces:
  """The geometry of a state's rows, ready to be looked up.

  Attributes:
    means: `[e, 4]` mean position in the cell's block (cells), and sureness
      in [0, 1), 0 = empty.
    occupied: `[e]` probability that a cell is occupied (evidence levels).
    generated: `[e]` share of the evidence that a model made up.
  """

  means: Float[Array, 'e 4']
  occupied: Float[Array, 'e']
  generated: Float[Array, 'e']


@flax.struct.dataclass
class Samples:
  """What the second pass found at each hit.

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
  geometry = tables.as_float(state.geometry)
  weight = geometry[:, 3:]
  held = weight > 0
  each = jnp.where(held, 1 / jnp.where(held, weight, 1), 0)
  features = tables.as_float(state.features) * each
  if config.exact:
    features = jnp.where(held, features / 127.5 - 1, 0)
  position = geometry[:, :3] * each / addressing.FRACTION
  position = position + 0.5 / addressing.FRACTION  # units are rounded down
  sure = jnp.where(held, weight / (weight + config.weight_half), 0)
  evidence = tables.as_float(state.evidence)
  total = weight[: evidence.shape[0], 0]
  occupied, generated = _occupied(config, evidence, total)
  return features, Surfaces(
    jnp.concatenate([position, sure], axis=1), occupied, generated
  )


def _occupied(config, evidence, total):
  """Probability that cells are occupied, and their generated share.

  Recent free evidence counts against older surfaces more than older free
  evidence does: a place is what it was last seen to be.
  """
  recent = evidence[:, tables.RECENT]
  free = evidence[:, tables.FREE] * config.free_gain
  recent_free = evidence[:, tables.RECENT_FREE] * config.free_gain
  older = jnp.maximum(total - recent, 0)
  # Recent free evidence, less what recent surfaces explain, vetoes the old.
  veto = jnp.maximum(recent_free - recent, 0) * config.veto_gain
  older = older * older / jnp.maximum(older + veto, 1e-6) * (veto < older)
  held = jnp.where(total > 0, recent + older, 0)
  occupied = held / (held + free + config.occupied_half)
  made = jnp.clip(evidence[:, tables.GENERATED], 0) / jnp.maximum(total, 1)
  return occupied, jnp.clip(made, 0, 1)


def meet(config, surfel, cells, cell, which, origins, directions):
  """Depth on the ray and distance from it, metres, and if the surfel is here.

  A surfel outside its own cell is somebody else's: rows may collide.
  """
  corner = (cells & (addressing.BLOCK - 1)).astype(jnp.float32)
  within = surfel[..., :3] - corner
  held = ((within >= -TOLERANCE) & (within <= 1 + TOLERANCE)).all(-1)
  cell = jnp.asarray(cell)[..., None]
  points = (cells.astype(jnp.float32) + within) * cell
  if config.radius_m:
    contracted = jnp.array([v.contracted for v in config.levels])[which]
    points = jnp.where(
      contracted[..., None], uncontract(points, config.radius_m), points
    )
  offset = points - origins
  length = (directions**2).sum(-1)
  depth = (offset * directions).sum(-1) / length
  distance = (offset**2).sum(-1) - depth**2 * length
  return (
    depth,
    jnp.sqrt(jnp.maximum(distance, 1e-12)),
    held & (surfel[..., 3] > 0),
  )


def stretch_of(config, which, points):
  """Metres per level metre at metric points: 1 unless contracted."""
  if not config.radius_m:
    return jnp.ones(points.shape[:-1])
  contracted = jnp.array([v.contracted for v in config.levels])[which]
  return jnp.where(contracted, stretch(points, config.radius_m), 1)


def choose_levels(config, footprint) -> Int[Array, 'r s']:
  """The finest level that a pixel of this footprint can resolve."""
  coarser = jnp.zeros(footprint.shape, jnp.int32)
  for level in config.levels[1:]:
    coarser += level.cell_m < config.footprint_bias * footprint
  return len(config.levels) - 1 - coarser


def look(config, features, surfaces, rays, hits) -> Samples:
  """Looks at the surfels round every hit, coarser ones where fine are none."""
  depth = hits.depth_m
  exists = depth > 0
  footprint = depth * rays.pixel_m[:, None]
  chosen = choose_levels(config, footprint)
  for i in range(config.refinements, 0, -1):
    found = _round(
      config, None, surfaces, rays, depth, jnp.maximum(chosen - i, 0)
    )
    depth = jnp.where(found.alpha > 0.1, found.depth_m, depth)
  found = _round(config, features, surfaces, rays, depth, chosen)
  for i in range(1, config.fallbacks + 1):
    coarse = _round(
      config, features, surfaces, rays, depth, jnp.maximum(chosen - i, 0)
    )
    found = _mix(found, coarse)
  return found.replace(
    alpha=jnp.where(
      exists, found.alpha * _gate(config, surfaces, rays, found.depth_m), 0
    )
  )


def _mix(fine, coarse):
  """The fine samples where they are opaque, the coarse ones elsewhere."""
  total = fine.alpha + (1 - fine.alpha) * coarse.alpha
  share = fine.alpha / jnp.maximum(total, 1e-6)
  blend = lambda a, b: share * a + (1 - share) * b
  return Samples(
    alpha=total,
    depth_m=blend(fine.depth_m, coarse.depth_m),
    features=share[..., None] * fine.features
    + (1 - share[..., None]) * coarse.features,
    sureness=blend(fine.sureness, coarse.sureness),
    spread=blend(fine.spread, coarse.spread),
    generated=blend(fine.generated, coarse.generated),
  )


def _gate(config, surfaces, rays, depth):
  """Whether the finest evidence level says that these depths are occupied."""
  which = jnp.full(depth.shape, config.evidence_levels - 1)
  points = rays.origins[:, None] + depth[..., None] * rays.directions[:, None]
  level = config.levels[config.evidence_levels - 1]
  if level.contracted:
    points = contract(points, config.radius_m)
  cells = jnp.floor(points / level.cell_m).astype(jnp.int32)
  row, inside = addressing.find_rows(level, cells)
  del which
  occupied = jnp.where(inside, surfaces.occupied[row], 0)
  return jnp.clip(occupied / config.gate_full, 0, 1)


def _round(config, features, surfaces, rays, depth, which) -> Samples:
  """Aggregates the 2 x 2 x 2 cells round points of rays, on levels `which`."""
  cell = jnp.array([v.cell_m for v in config.levels])[which]
  origins, directions = rays.origins[:, None], rays.directions[:, None]
  points = origins + depth[..., None] * directions  # [r, s, 3]
  reach = cell * stretch_of(config, which, points)
  local = points
  if config.radius_m:
    contracted = jnp.array([v.contracted for v in config.levels])[which]
    local = jnp.where(
      contracted[..., None], contract(points, config.radius_m), points
    )
  base = jnp.floor(local / cell[..., None] - 0.5).astype(jnp.int32)
  radius = config.kernel * jnp.maximum(reach, depth * rays.pixel_m[:, None])
  weights, depths, rows = [], [], []
  for corner in range(8):
    shift = jnp.array([corner & 1, corner >> 1 & 1, corner >> 2])
    cells = base + shift
    row, inside = addressing.rows_of(config.levels, which, cells)
    surfel = surfaces.means[row]
    at, distance, held = meet(
      config, surfel, cells, cell, which, origins, directions
    )
    near = jnp.exp(-0.5 * (distance / radius) ** 2) * surfel[..., 3]
    weights.append(jnp.where(inside & held & (at > 0), near, 0))
    depths.append(at)
    rows.append(row)
  weight = jnp.stack(weights)  # [8, r, s]
  total = weight.sum(0)
  share = weight / jnp.maximum(total, 1e-6)
  at = jnp.stack(depths)
  mean = (share * at).sum(0)
  spread = jnp.sqrt((share * (at - mean) ** 2).sum(0))
  mixed = None
  if features is not None:
    mixed = sum(share[i][..., None] * features[rows[i]] for i in range(8))
  return Samples(
    alpha=jnp.clip(config.surfel_gain * total, 0, 1),
    depth_m=mean,
    features=mixed,
    sureness=(share * weight).sum(0),
    spread=spread,
    generated=jnp.zeros_like(mean),
  )
