"""Means with bootstrap intervals over episodes, deterministic from a seed.

The unit of resampling is the episode: frames of one episode are not
independent. An episode without a value (NaN) is left out, and `n` says how many
were used. With the same seed and number of episodes the same episodes are drawn
for every metric, so intervals of paired differences are honest.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from mirage_jax.arrays import Array, Float

# mean, low, high (None where there is nothing to average) and n.
Interval = dict[str, Any]
RESAMPLES = 2000


def _as_interval(mean: float, samples: np.ndarray, n: int) -> Interval:
  low, high = np.quantile(samples, (0.025, 0.975))
  return {'mean': float(mean), 'low': float(low), 'high': float(high), 'n': n}


def interval(
  values: Float[Array, 'n'] | Sequence[float],
  seed: int = 0,
  resamples: int = RESAMPLES,
) -> Interval:
  """Mean of per-episode values with its 95 % percentile-bootstrap interval.

  Args:
    values: one number an episode; NaN = the episode has none.
    seed: of the resampling.
    resamples: how many bootstrap means to draw.

  Returns:
    `{'mean', 'low', 'high', 'n'}`; with no value at all, `n` is 0 and the
    others are None (JSON's null).
  """
  values = np.asarray(values, np.float64).reshape(-1)
  values = values[np.isfinite(values)]
  n = len(values)
  if n == 0:
    return {'mean': None, 'low': None, 'high': None, 'n': 0}
  draws = np.random.default_rng(seed).integers(0, n, (resamples, n))
  return _as_interval(values.mean(), values[draws].mean(1), n)


def single(value: float, n: int = 1) -> Interval:
  """A figure without an interval, such as a number of bytes."""
  return {
    'mean': float(value),
    'low': float(value),
    'high': float(value),
    'n': n,
  }


def paired_difference(
  values: Float[Array, 'n'] | Sequence[float],
  reference: Float[Array, 'n'] | Sequence[float],
  seed: int = 0,
  resamples: int = RESAMPLES,
) -> Interval:
  """Interval of `values - reference`, episode by episode.

  Raises:
    ValueError: when the two are not of the same episodes.
  """
  values, reference = (
    np.asarray(x, np.float64).reshape(-1) for x in (values, reference)
  )
  if len(values) != len(reference):
    raise ValueError(
      f'paired difference of {len(values)} and {len(reference)} episodes; '
      'evaluate both on the same episodes'
    )
  return interval(values - reference, seed, resamples)


def paired_ratio(
  values: Float[Array, 'n'] | Sequence[float],
  reference: Float[Array, 'n'] | Sequence[float],
  seed: int = 0,
  resamples: int = RESAMPLES,
) -> Interval:
  """Interval of mean(values) / mean(reference) - 1 over the same episodes.

  Raises:
    ValueError: when the two are not of the same episodes.
  """
  paired_difference(values, reference, seed, resamples=1)
  pair = np.stack([values, reference]).astype(np.float64)
  pair = pair[:, np.isfinite(pair).all(0)]
  n = pair.shape[1]
  if n == 0:
    return {'mean': None, 'low': None, 'high': None, 'n': 0}
  draws = np.random.default_rng(seed).integers(0, n, (resamples, n))
  top, bottom = pair[:, draws].mean(-1)
  value = pair[0].mean() / pair[1].mean() - 1
  return _as_interval(value, top / bottom - 1, n)


def summarise(
  values: Mapping[str, Mapping[str, Array]], seed: int = 0
) -> dict[str, dict[str, Interval]]:
  """Intervals of `{name: {metric: per-episode values}}`, same layout."""
  return {
    name: {metric: interval(x, seed) for metric, x in metrics.items()}
    for name, metrics in values.items()
  }
