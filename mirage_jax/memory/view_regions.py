"""Forgetting a region of a view grid: its entries are read and written anew."""

import dataclasses

import numpy as np

from mirage_jax.memory import view_peeling, view_tables
from mirage_jax.memory.accumulators import Wide
from mirage_jax.memory.regions import Erased, Region, check_region


def forget_region(config, state: view_tables.ViewGridState, region: Region):
  """Erases every entry whose bin may reach into `region`.

  Rows whose entries cannot be told apart are emptied, as they may hold some of
  the region; so are entries outside it whose bins touch it. Both count as gone
  from elsewhere.

  Returns:
    the state, and `Erased`.

  Raises:
    ValueError: for an empty region.
  """
  check_region(region)
  views = view_tables.view_cells(config, state)
  surfels = view_peeling.surfels(config, state, views)
  plan = view_peeling.make_plan(
    config, views, view_tables.as_float(state.entries)[:, : view_peeling.NAMING]
  )
  points, held = np.asarray(surfels.points), np.asarray(surfels.held)
  bin_m = np.exp(config.log_depth) - 1 + config.bin_rad
  reach = np.asarray(surfels.range_m)[:, None] * bin_m + config.unit_m
  touched = held & np.asarray(region.meets(points - reach, points + reach))
  own = held & np.asarray(region.meets(points, points))
  sums = _integers(state.entries)
  kept, lost = _sort_out(sums, plan, touched)
  elsewhere = (touched & ~own).sum() + lost
  erased = Erased(int(touched.sum() + lost), int(elsewhere))
  state = dataclasses.replace(state, entries=_like(state.entries, kept))
  return state, erased


def _sort_out(sums, plan, touched):
  """The table without touched and unknown entries, and rows of the latter."""
  rest, kept = sums.copy(), np.zeros_like(sums)
  for found, rows in zip(
    *map(np.asarray, (plan.found, plan.rows)), strict=True
  ):
    rows = rows[found < len(sums)]
    found = found[found < len(sums)]
    taken = rest[found]
    stays = ~touched[found]
    for choice in range(rows.shape[1]):
      np.subtract.at(rest, rows[:, choice], taken)
      np.add.at(kept, rows[stays, choice], taken[stays])
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
