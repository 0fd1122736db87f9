"""Erasing from a view grid: a region, or views that there is no room for.

Entries are read, and those that stay are written anew. Rows whose entries
cannot be told apart are emptied.
"""

import dataclasses
import functools

import jax
import numpy as np

from mirage_jax.arrays import Bool, Float, Int
from mirage_jax.memory.regions import Erased, Region, check_region
from mirage_jax.memory.tables.accumulators import Wide
from mirage_jax.memory.tables.sums import as_float
from mirage_jax.memory.view_grid import peeling, table
from mirage_jax.memory.view_grid.table import ViewCells, ViewGridState

FULLEST = 0.7  # entries a row up to which all can be told apart
THINNED = 0.5  # entries a row that are left when views are erased


def forget_region(config, state: ViewGridState, region: Region):
  """Erases every entry whose bin may reach into `region`.

  Rows whose entries cannot be told apart go too, as they may hold some of the
  region; so do entries outside it whose bins touch it. Both count as gone from
  elsewhere.

  Returns:
    the state, and `Erased`.

  Raises:
    ValueError: for an empty region.
  """
  check_region(region)
  _, surfels, plan = _everything(config, state)
  points, held = np.asarray(surfels.points), np.asarray(surfels.held)
  bin_m = np.exp(config.log_depth) - 1 + config.bin_rad
  reach = np.asarray(surfels.range_m)[:, None] * bin_m + config.unit_m
  touched = held & np.asarray(region.meets(points - reach, points + reach))
  own = held & np.asarray(region.meets(points, points))
  state, lost = _erase(state, plan, touched)
  elsewhere = (touched & ~own).sum() + lost
  return state, Erased(int(touched.sum() + lost), int(elsewhere))


def reserve(config, state: ViewGridState, points: int) -> ViewGridState:
  """Erases whole view cells if `points` more might not be told apart.

  What stays is spread as widely as can be: places are kept that are far from
  all others that are kept.
  """
  most = FULLEST * config.entries - points
  if table.num_entries(config, state) <= most:
    return state
  views, surfels, plan = _everything(config, state)
  held, slot = np.asarray(surfels.held), np.asarray(surfels.slot)
  sizes = np.bincount(slot[held], minlength=config.views)
  most = min(THINNED * config.entries, max(most, THINNED * config.entries / 2))
  kept = _spread(config, jax.tree.map(np.asarray, views), sizes, most)
  state, _ = _erase(state, plan, held & ~kept[slot])
  cut = jax.tree.map(
    lambda x: np.where(kept[:, None], x, 0).astype(x.dtype), state.views
  )
  return dataclasses.replace(state, views=cut)


def _spread(
  config, views: ViewCells, sizes: Int[np.ndarray, 'v'], most: float
) -> Bool[np.ndarray, 'v']:
  """View cells of at most so many entries, farthest from the others first."""
  left = views.held & (sizes > 0)
  distance = np.where(left, np.inf, -1.0)
  kept = np.zeros_like(left)
  at, total = int(np.argmax(sizes)), 0
  while distance[at] >= 0 and total + sizes[at] <= most:
    kept[at], total = True, total + sizes[at]
    apart = _distance(config, views, at)
    distance = np.where(kept, -1.0, np.minimum(distance, apart))
    at = int(np.argmax(distance))
  return kept


def _distance(config, views: ViewCells, at: int) -> Float[np.ndarray, 'v']:
  """Metres plus radians between view cells, as readings count them."""
  metres = np.linalg.norm(views.position - views.position[at], axis=-1)
  angle = np.arccos(np.clip(views.forward @ views.forward[at], -1, 1))
  unlike = views.generated != views.generated[at]
  return metres + angle + config.generated_distance * unlike


@functools.partial(jax.jit, static_argnums=0)
def _everything(config, state):
  """All that the state still knows: views, surfels, and how they are read."""
  views = table.view_cells(config, state)
  total = as_float(state.entries)
  plan = peeling.make_plan(config, views, total[:, : peeling.NAMING])
  return views, peeling.surfels(config, state, views), plan


def _erase(state, plan, touched: Bool[np.ndarray, 'e']):
  """The state without what was touched or unknown, and rows of the latter."""
  sums = _integers(state.entries)
  kept, lost = _sort_out(sums, plan, touched)
  kept = _like(state.entries, kept)
  return dataclasses.replace(state, entries=kept), lost


def _sort_out(sums, plan, touched):
  """The table without touched and unknown entries, and rows of the latter."""
  rest, kept = sums.copy(), np.zeros_like(sums)
  for found, rows in zip(
    *map(np.asarray, (plan.found, plan.rows)), strict=True
  ):
    rows = rows[:, found < len(sums)]
    found = found[found < len(sums)]
    taken = rest[found]
    stays = ~touched[found]
    for choice in rows:
      np.subtract.at(rest, choice, taken)
      np.add.at(kept, choice[stays], taken[stays])
  return kept, int((rest[:, 0] > 0.5).sum())


def _integers(sums):
  """The sums as NumPy numbers that add without loss."""
  if not isinstance(sums, Wide):
    return np.asarray(sums, np.float64)
  high = np.asarray(sums.high).astype(np.int64)
  return (high << 32) + np.asarray(sums.low).astype(np.int64)


def _like(sums, values):
  """`values` as sums of the kind of `sums`."""
  if not isinstance(sums, Wide):
    return values.astype(np.float32)
  low = (values & 0xFFFFFFFF).astype(np.uint32)
  return Wide(low, (values >> 32).astype(sums.high.dtype))
