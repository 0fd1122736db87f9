"""Times calls that take turns, and compares them by medians."""

import dataclasses
import time
from collections.abc import Callable, Sequence

import jax
import numpy as np


@dataclasses.dataclass(frozen=True)
class Spread:
  """Median and quartiles of n measurements."""

  median: float
  low: float
  high: float
  n: int


Rows = dict[str, Spread]


def alternate(
  functions: Sequence[Callable[[], object]], repeats: int, rounds: int = 1
) -> np.ndarray:
  """Measures seconds a call, `[repeats, len(functions)]`, in turns.

  Other load on the machine then slows all functions alike, so that ratios
  within a row are comparable where times alone are not. Every other row is
  measured in reverse order. Every function runs once before, to compile.

  Args:
    functions: called without arguments; their results are waited for.
    repeats: measurements of each.
    rounds: calls that one measurement averages.
  """
  for function in functions:
    jax.block_until_ready(function())
  seconds = np.zeros((repeats, len(functions)))
  for repeat in range(repeats):
    order = range(len(functions))
    for which in order if repeat % 2 == 0 else reversed(order):
      start = time.perf_counter()
      for _ in range(rounds):
        jax.block_until_ready(functions[which]())
      seconds[repeat, which] = (time.perf_counter() - start) / rounds
  return seconds


def spread(values: Sequence[float | int] | np.ndarray) -> Spread:
  """Returns the median and quartiles of measurements."""
  low, median, high = np.percentile(values, [25, 50, 75])
  return Spread(float(median), float(low), float(high), len(values))
