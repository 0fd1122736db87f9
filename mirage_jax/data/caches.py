"""Clips by index, kept in memory up to a budget."""

import operator
import warnings
from collections.abc import Callable
from typing import SupportsIndex

import jax

from mirage_jax.geometry.clips import Clip


def check_index(index: SupportsIndex, length: int) -> int:
  """`index` counted from the front.

  Raises:
    IndexError: it is out of range (iteration ends there).
  """
  index = operator.index(index)
  if not -length <= index < length:
    raise IndexError(f'clip {index} of a source of {length} clips')
  return index % length


class Cache:
  """Keeps clips until a budget is spent; nothing is ever thrown out.

  Where clips are asked for in random order, that hits as often as keeping the
  latest, and it never makes a clip twice that was kept.

  Args:
    budget_gb: memory for clips; 0 keeps none.
    total: clips there are, for the warning when they do not all fit.
  """

  def __init__(self, budget_gb: float, total: int):
    self._left = budget_gb * 2**30
    self._total = total
    self._clips: dict[int, Clip] = {}

  def get(self, index: int, make: Callable[[int], Clip]) -> Clip:
    """Clip `index`, made if it is not kept."""
    if index in self._clips:
      return self._clips[index]
    clip = make(index)
    if self._left > 0:
      self._keep(index, clip)
    return clip

  def _keep(self, index: int, clip: Clip) -> None:
    self._left -= sum(leaf.nbytes for leaf in jax.tree.leaves(clip))
    if self._left >= 0:
      self._clips[index] = clip
      return
    warnings.warn(
      f'cache full after {len(self._clips)} of {self._total} clips; the others '
      'are made each time: raise cache_gb, or prepare them on disk',
      stacklevel=4,
    )
