"""Keys of a view grid: view cells, their bins, and table rows.

A *view cell* is a box of camera positions and a sector of headings. It holds
what its cameras saw in *bins* round its centre: small pieces of the sphere of
directions, times a range of log distance. Positions are integers relative to
the view cell, contracted beyond `radius_m`, so they are bounded however far
away things are, and what is written is the same on every device.
"""

import flax.struct
import jax
import jax.numpy as jnp

from mirage_jax.arrays import Array, Bool, Float, Int, UInt32
from mirage_jax.geometry import cameras as pinhole
from mirage_jax.geometry.contraction import contract, uncontract
from mirage_jax.memory.contract import Observed, check_shapes
from mirage_jax.memory.tables.hashing import mix
from mirage_jax.memory.tables.sums import quantise_features

WEIGHTS = 4  # weights of points are 1 ... 4 integers
HEADING = 127  # a unit vector in integers


@flax.struct.dataclass
class ViewObservation:
  """Observation of a view grid: points p, and the t views that saw them.

  Attributes:
    key: `[p]` uint32, names the point's view cell and bin.
    content: `[p, c]` columns of `view_tables`, not yet weighted.
    features: `[p, f]` float32 in [-1, 1], or int32 in 0 ... 255 if exact.
    weight: `[p]` int32 in 0 ... 4, 0 = nothing is written.
    view_slot: `[t]` int32, rows of the view table.
    view_content: `[t, v]` int32, its columns.
  """

  key: UInt32[Array, 'p']
  content: Int[Array, 'p c']
  features: Array
  weight: Int[Array, 'p']
  view_slot: Int[Array, 't']
  view_content: Int[Array, 't v']


def largest(config) -> int:
  """The largest number in a row of an exact grid, but for its weight."""
  return max(round(2 * config.radius_m / config.unit_m), config.views, 255)


def rows_of(config, key: UInt32[Array, 'p'], choice: int) -> Int[Array, 'p']:
  """The row of each key in part `choice` of the table."""
  size = config.entries // config.choices
  hashed = mix(key, jnp.full(key.shape, choice + 1))
  return choice * size + (hashed % jnp.uint32(size)).astype(jnp.int32)


def heading_of(config, forward: Float[Array, '*v 3']) -> Int[Array, '*v']:
  """The sector of headings that viewing directions fall into."""
  turn = jnp.arctan2(forward[..., 0], forward[..., 2]) / (2 * jnp.pi)
  # Sectors are centred on the first camera's heading, which is 0.
  return jnp.round(turn * config.headings).astype(jnp.int32) % config.headings


def view_key(
  config,
  position: Float[Array, '*v 3'],
  forward: Float[Array, '*v 3'],
  generated: Bool[Array, '*v'],
) -> tuple[UInt32[Array, '*v'], Float[Array, '*v 3']]:
  """uint32 name and centre (metres) of the view cells of cameras.

  `position` is in units and `forward` of any length, both in the scene's
  frame and quantised, or means of such.
  """
  # Cells are centred on the first camera's position, which is the origin.
  cell = jnp.round(position * (config.unit_m / config.cell_m))
  words = [cell[..., i].astype(jnp.int32) for i in range(3)]
  words += [heading_of(config, forward), generated.astype(jnp.int32)]
  return mix(*words), cell * config.cell_m


def quick_arctan2(y: Float[Array, 'p'], x: Float[Array, 'p']):
  """An angle within 0.004 rad of arctan2, and monotone: good enough for bins.

  The exact one took most of the time of peeling.
  """
  far = jnp.maximum(jnp.abs(x), jnp.abs(y))
  near = jnp.minimum(jnp.abs(x), jnp.abs(y))
  slope = near / jnp.maximum(far, 1e-30)
  angle = slope * (jnp.pi / 4 + 0.273 * (1 - slope))
  angle = jnp.where(jnp.abs(y) > jnp.abs(x), jnp.pi / 2 - angle, angle)
  angle = jnp.where(x < 0, jnp.pi - angle, angle)
  return jnp.where(y < 0, -angle, angle)


def bin_key(
  config, view: UInt32[Array, 'p'], relative: Float[Array, 'p 3']
) -> UInt32[Array, 'p']:
  """uint32 name of the bin of points; contracted units from the centre."""
  metric = uncontract(relative, config.radius_m / config.unit_m)
  x, y, z = (metric[..., i] for i in range(3))
  flat = x * x + z * z
  safe = jnp.maximum(jnp.sqrt(flat + y * y), 1e-3)
  rise = quick_arctan2(y, jnp.sqrt(flat)) + jnp.pi / 2
  row = jnp.floor(rise / config.bin_rad)
  middle = (row + 0.5) * config.bin_rad - jnp.pi / 2
  columns = jnp.round(2 * jnp.pi * jnp.cos(middle) / config.bin_rad)
  turn = quick_arctan2(x, z) / (2 * jnp.pi) + 0.5
  column = jnp.floor(turn * jnp.maximum(columns, 1))
  shell = jnp.floor(jnp.log(safe) / config.log_depth)
  return mix(view, *(x.astype(jnp.int32) for x in (row, column, shell)))


def observe(config, state, observed: Observed) -> ViewObservation:
  """Quantises posed depth images; see `ViewGrid.observe`."""
  check_shapes(config.features, observed)
  local = pinhole.relative_to(observed.cameras, state.frame)
  local, depth_m, weight = jax.lax.stop_gradient(
    (local, observed.depth_m, observed.weight)
  )
  position = jnp.round(local.world_from_camera[:, :3, 3] / config.unit_m)
  forward = jnp.round(local.world_from_camera[:, :3, 2] * HEADING)
  made = jnp.full(position.shape[:1], observed.generated)
  view, centre = view_key(config, position, forward, made)
  slot = (view % jnp.uint32(config.views)).astype(jnp.int32)
  points = pinhole.unproject(local, depth_m)  # [t, h, w, 3]
  relative = contract(points - centre[:, None, None], config.radius_m)
  relative = jnp.round(relative / config.unit_m)
  weight = jnp.where(depth_m > 0, weight.astype(jnp.float32), 0)
  units = jnp.clip(jnp.round(weight * WEIGHTS), 1, WEIGHTS)
  shape = depth_m.shape
  each = lambda x: jnp.broadcast_to(x[:, None, None], shape).reshape(-1)
  relative = relative.reshape(-1, 3)
  slots = each(slot)[:, None]
  return ViewObservation(
    key=bin_key(config, each(view), relative),
    content=jnp.concatenate([slots, relative.astype(jnp.int32)], axis=1),
    features=quantise_features(observed.features, config.exact),
    weight=jnp.where(weight > 0, units, 0).astype(jnp.int32).reshape(-1),
    view_slot=slot,
    view_content=_view_content(position, forward, made),
  )


def _view_content(position, forward, made):
  """Columns of the view table: count, position, heading, generated."""
  parts = [
    jnp.ones_like(made, jnp.int32)[:, None],
    position.astype(jnp.int32),
    forward.astype(jnp.int32),
    made.astype(jnp.int32)[:, None],
  ]
  return jnp.concatenate(parts, axis=1)
