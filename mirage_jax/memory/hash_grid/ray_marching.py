"""The first pass of a reading: where along a ray surfaces may be.

Steps of a ray look at the one cell they are in, on an evidence level with
cells about as long as the step. A hit is an occupied cell whose surfel lies
near the ray. Hits that follow each other closely form one surface.
"""

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np

from mirage_jax.arrays import Array, Float
from mirage_jax.memory.hash_grid import lattice, surfels
from mirage_jax.memory.tables import sharded


@flax.struct.dataclass
class Rays:
  """Rays in the scene's frame.

  Attributes:
    origins: `[r, 3]` metres.
    directions: `[r, 3]`, long as z-depth 1.
    pixel_m: `[r]` metres that a pixel covers at z-depth 1.
  """

  origins: Float[Array, 'r 3']
  directions: Float[Array, 'r 3']
  pixel_m: Float[Array, 'r']


@flax.struct.dataclass
class Hits:
  """Surfaces that rays may meet, near first.

  Attributes:
    depth_m: `[r, s]` z-depth; 0 = none.
    weight: `[r, s]` share of the light that ends there.
    evidence: `[r, s]` probability that the cells are occupied.
    generated: `[r, s]` share of their evidence that a model made up.
  """

  depth_m: Float[Array, 'r s']
  weight: Float[Array, 'r s']
  evidence: Float[Array, 'r s']
  generated: Float[Array, 'r s']


def step_depths(config) -> np.ndarray:
  """Depths of the steps, metres."""
  share = (np.arange(config.steps) + 0.5) / config.steps
  return config.near_m + (config.far_m - config.near_m) * (
    share**config.march_power
  )


def step_levels(config, depths: np.ndarray) -> np.ndarray:
  """The evidence level of each step: the finest with cells a step long."""
  spacing = np.gradient(depths) if len(depths) > 1 else depths
  cells = np.array(
    [level.cell_m for level in config.levels[: config.evidence_levels]]
  )
  fits = cells[None] >= 0.75 * spacing[:, None]
  return np.maximum(fits.sum(1) - 1, 0).astype(np.int32)


def march(config, surfaces: surfels.Surfaces, rays: Rays) -> Hits:
  """Hits along every ray, gathered into at most `config.samples` surfaces."""
  depths = step_depths(config)
  which = step_levels(config, depths)
  # Made of the rays, so that it is divided as they are.
  none = 0 * rays.pixel_m
  nothing = jnp.tile(none, (config.samples, 1))
  carry = (
    none + 1,
    none.astype(jnp.int32),
    nothing,
    nothing,
    nothing,
    nothing,
  )
  xs = (jnp.asarray(depths, jnp.float32), jnp.asarray(which))
  step = lambda carry, x: (_step(config, surfaces, rays, carry, *x), None)
  (_, _, weight, moment, evidence, made), _ = jax.lax.scan(step, carry, xs)
  some = jnp.maximum(weight, 1e-9)
  depth = jnp.where(weight > 1e-3, moment / some, 0)
  return Hits(depth.T, weight.T, (evidence / some).T, (made / some).T)


def _step(config, surfaces, rays, carry, along, which):
  """One step of all rays: adds its hit to the current surface or a new one."""
  passing, slot, weight, moment, evidence, made = carry
  cell = jnp.array([v.cell_m for v in config.levels])[which]
  points = rays.origins + along * rays.directions
  local, scale = surfels.to_levels(config, which, points)
  cells = jnp.floor(local / cell).astype(jnp.int32)
  row, inside = lattice.rows_of(
    config.levels[: config.evidence_levels], which, cells
  )
  depth, distance, sure = surfels.meet(
    config,
    sharded.take(surfaces.means, row),
    cells,
    cell,
    surfels.is_contracted(config, which),
    rays.origins,
    rays.directions,
  )
  near = surfels.fall_off(distance, config.march_kernel * cell * scale)
  occupied, generated = surfels.occupancy(config, surfaces, which, row, cells)
  hit = jnp.where(inside & (sure > 0), occupied * near, 0)
  hit = jnp.where(hit > 0.05, hit, 0)
  taken = passing * hit
  index = jnp.arange(config.samples)[:, None]
  current = (index == slot).astype(jnp.float32)
  held = (weight * current).sum(0)
  mean = (moment * current).sum(0)
  gap = config.march_gap * cell * scale
  apart = (held > 0) & (hit > 0) & (depth * held > mean + gap * held)
  slot = jnp.minimum(slot + apart, config.samples - 1)
  here = jnp.where(index == slot, taken, 0)
  return (
    passing - taken,
    slot,
    weight + here,
    moment + here * depth,
    evidence + here * occupied,
    made + here * generated,
  )
