"""Reading a view grid: surfels drawn into views, nearest cameras first.

The first pass finds each pixel's surface: the nearest surfel of the nearest
view cell that has any there. The second blends all surfels close to it, weighed
by their distance from the pixel's centre and by how far their view cell is.
What was not seen since the memory last advanced counts as farther away: what a
near view saw since then hides it, also where that lies behind.
"""

import math

import jax
import jax.numpy as jnp

from mirage_jax.arrays import Array, Float, Int
from mirage_jax.geometry import cameras as pinhole
from mirage_jax.geometry.cameras import Cameras
from mirage_jax.geometry.contraction import contract, uncontract
from mirage_jax.memory.contract import Readout, Views
from mirage_jax.memory.tables.first_true import first_true
from mirage_jax.memory.tables.vmem import make_table, make_taker
from mirage_jax.memory.view_grid import peeling, table

ORDER_BITS = 31  # of the rank of a view cell, and of a depth within it
FAINTEST = -60.0  # exponents below give nothing in float32


def read(config, state, views: Views) -> Readout:
  """Renders views `[t]`; see `ViewGrid.read`."""
  height, width = views.height, views.width
  local = pinhole.relative_to(views.cameras, state.frame)
  cells = table.view_cells(config, state)
  surfels = peeling.surfels(config, state, cells)
  take = make_taker(
    (
      jnp.where(surfels.held, _aged_slot(config, surfels) + 1, 0),
      surfels.points,
      surfels.range_m,
      surfels.weight,
      surfels.features,
    ),
    config.lookup,
  )
  lost = jnp.where(state.overflow, jnp.nan, 1.0)
  readout = jax.lax.map(
    lambda camera: draw(config, cells, surfels, take, camera, height, width),
    local,
  )
  return jax.tree.map(lambda x: x * lost, readout)


def view_distance(config, views, camera: Cameras) -> Float[Array, 'v']:
  """Metres plus radians from a camera to the view cells; inf for none."""
  pose = camera.world_from_camera
  metres = jnp.linalg.norm(views.position - pose[:3, 3], axis=-1)
  angle = jnp.arccos(jnp.clip(views.forward @ pose[:3, 2], -1, 1))
  distance = metres + angle + config.generated_distance * views.generated
  return jnp.where(views.held, distance, jnp.inf)


def _choose(config, surfels, rank, inside):
  """Rows of at most `visible` surfels in view, nearest view cells first."""
  last = rank.shape[0]
  ranks = jnp.where(inside, rank[_aged_slot(config, surfels)], last)
  per_rank = jnp.zeros(last + 1, jnp.int32).at[ranks].add(1)
  fits = jnp.cumsum(per_rank) <= config.visible
  chosen = inside & fits[ranks]
  return first_true(chosen, config.visible)


def _aged_slot(config, surfels):
  """Slots of recent entries, and then those of older ones."""
  return surfels.slot + jnp.where(surfels.recent, 0, config.views)


def draw(config, views, surfels, take, camera, height, width) -> Readout:
  """One view `[h, w, ...]` of surfels; `take` gives what to draw of them."""
  distance = view_distance(config, views, camera)
  distance = jnp.concatenate([distance, distance + config.older_distance])
  nearest_first = jnp.argsort(distance)
  places = jnp.arange(distance.shape[0])
  rank = jnp.zeros_like(places).at[nearest_first].set(places)
  uv, depth = pinhole.project(camera, surfels.points)
  pixel = uv * jnp.array([width, height])
  reach = config.most_pixels
  inside = surfels.held & (depth > config.near_m)
  inside = inside & (pixel > -reach).all(-1)
  inside = inside & (pixel < jnp.array([width, height]) + reach).all(-1)
  chosen = _choose(config, surfels, rank, inside)
  slot, points, range_m, weight, features = take(chosen)
  uv, depth = pinhole.project(camera, points)
  pixel = uv * jnp.array([width, height])
  held, slot = slot > 0, jnp.maximum(slot - 1, 0)
  size = range_m * config.bin_rad * config.spread
  radius = size / jnp.maximum(depth, 1e-3) * camera.intrinsics[0] * width / 2
  radius = jnp.clip(radius, 0.5, reach)
  depth_bits = ORDER_BITS - math.ceil(math.log2(rank.shape[0]))
  depth_step = 2 * config.radius_m / (2**depth_bits - 1)
  steps = contract(depth[:, None], config.radius_m)[:, 0] / depth_step
  order = (rank[slot] << depth_bits) + steps.astype(jnp.int32)
  offset = distance[slot] - distance.min()
  nearness = jnp.exp(jnp.maximum(-offset / config.view_reach, FAINTEST))
  evidence = jnp.minimum(weight, 1)
  made = views.generated[slot % config.views].astype(jnp.float32)
  columns = jnp.concatenate(
    [features, jnp.stack([depth, evidence, made], axis=1)], axis=1
  )
  shifts = _shifts(reach)
  cover = lambda shift: _cover(shift, pixel, radius, held, height, width)

  def find(front, shift):
    return front.at[cover(shift)[0]].min(order), None

  front = jnp.full(height * width + 1, 2**31 - 1, jnp.int32)
  front, _ = jax.lax.scan(find, front, shifts)
  nearest = (front & (2**depth_bits - 1)) * depth_step
  nearest = uncontract(nearest[:, None], config.radius_m)[:, 0]
  take_nearest = make_taker((nearest[:-1],), config.lookup)
  front_rank = jnp.minimum(front[:-1] >> depth_bits, rank.shape[0] - 1)
  front_distance = distance[nearest_first[front_rank]]

  def blend(total, shift):
    target, closeness = cover(shift)
    (front_depth,) = take_nearest(target)
    same = jnp.abs(depth - front_depth) < config.same_surface * front_depth
    share = jnp.where(same, closeness * nearness, 0)[:, None]
    drop = jnp.concatenate([columns * share, share], axis=1)
    return total.add(target[None], drop), None

  total = jnp.zeros((height * width, columns.shape[1] + 1))
  total = make_table(total, config.lookup)
  total, _ = jax.lax.scan(blend, total, shifts)
  return _finish(config, total.unpack(), front_distance, height, width)


def _shifts(reach: int) -> Int[Array, 'k 2']:
  """Offsets of the pixels that a surfel of the largest radius may cover.

  From the pixel whose centre is next to it, to the left and above.
  """
  across = jnp.arange(1 - reach, reach + 1)
  return jnp.stack(jnp.meshgrid(across, across), -1).reshape(-1, 2)


def _cover(shift, pixel, radius, held, height, width):
  """The pixel at an offset from each surfel, and how close it is."""
  at = jnp.floor(pixel - 0.5).astype(jnp.int32) + shift
  apart = ((at + 0.5 - pixel) ** 2).sum(-1)
  own = (at == jnp.floor(pixel).astype(jnp.int32)).all(-1)
  covered = held & ((at >= 0) & (at < jnp.array([width, height]))).all(-1)
  covered = covered & ((apart <= radius**2) | own)
  target = jnp.where(covered, at[:, 1] * width + at[:, 0], height * width)
  close = jnp.exp(-apart / (0.72 * jnp.maximum(radius, 0.7) ** 2))
  return target, close + 1e-6


def _finish(config, total, distance, height, width) -> Readout:
  """Means of what was drawn, and how far it can be trusted."""
  share = total[:, -1:]
  known = share[:, 0] > 0
  mean = jnp.where(
    known[:, None], total[:, :-1] / jnp.where(known[:, None], share, 1), 0
  )
  features, (depth, evidence, made) = mean[:, :-3], mean[:, -3:].T
  bias, far, sure, generated = config.confidence
  far = far * jnp.minimum(distance, 10)
  confidence = jax.nn.sigmoid(bias + far + sure * evidence + generated * made)
  image = lambda x: x.reshape(height, width, *x.shape[1:])
  return Readout(
    features=image(features),
    depth_m=image(depth),
    opacity=image(known.astype(jnp.float32)),
    confidence=image(jnp.where(known, confidence, 0)),
  )
