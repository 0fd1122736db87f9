"""Means with bootstrap intervals over episodes, deterministic from a seed.

The unit of resampling is the episode: frames of one episode are not
independent. An episode without a value (NaN) is left out, and `n` says how many
were used. With the same seed and number of episodes the same episodes are drawn
for every metric, so intervals of paired differences are honest.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from mirage_jax.arrays import Array, Float


@dataclasses.dataclass(frozen=True)
class BootstrapStatistic:
  """A statistic that is no mean, with its bootstrap replicates.

  Intervals are re-centred, which removes the bias of resampling.

  Attributes:
    value: of all episodes.
    samples: `[r]` of resampled ones; the same draws for every player.
    n: what it was made of.
    positive: whether it cannot be 0, so that relative changes have a meaning.
  """

  value: float
  samples: Float[np.ndarray, 'r']
  n: int
  positive: bool = False

  def interval(self) -> 'Interval':
    """The figure with its 95 % interval."""
    return _about(self.value, self.samples, self.n)

  def minus(self, other: 'BootstrapStatistic') -> 'Interval':
    """Interval of the difference, resample by resample."""
    samples = self.samples - other.samples
    return _about(self.value - other.value, samples, self.n)

  def change_from(self, other: 'BootstrapStatistic') -> 'Interval':
    """Interval of this over the other, minus 1; for positive figures."""
    samples = self.samples / other.samples - 1
    return _about(self.value / other.value - 1, samples, self.n)


# mean, low, high (None where there is nothing to average) and n.
Interval = dict[str, Any]
RESAMPLES = 2000


def _as_interval(mean: float, samples: np.ndarray, n: int) -> Interval:
  low, high = np.quantile(samples, (0.025, 0.975))
  return {'mean': float(mean), 'low': float(low), 'high': float(high), 'n': n}


def _about(value: float, samples: np.ndarray, n: int) -> Interval:
  """The percentiles of resamples that are moved so that `value` is their mean.

  Some figures (a Frechet distance) are larger in every resample, since those
  hold fewer episodes, some of them twice. That is no uncertainty.
  """
  return _as_interval(value, samples - samples.mean() + value, n)


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


def single(value: float | int, n: int = 1) -> Interval:
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

  From 0 to 0 nothing has changed; from 0 to more, infinitely.

  Raises:
    ValueError: when the two are not of the same episodes.
  """
  found = ratio_of_means(values, reference, seed, resamples, both_zero=1.0)
  if found['n']:
    found |= {k: found[k] - 1 for k in ('mean', 'low', 'high')}
  return found


def ratio_of_means(
  values: Float[Array, 'n'] | Sequence[float],
  reference: Float[Array, 'n'] | Sequence[float],
  seed: int = 0,
  resamples: int = RESAMPLES,
  both_zero: float = 0.0,
) -> Interval:
  """Interval of mean(values) / mean(reference); `both_zero` where both are 0.

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

  def ratio(top, bottom):
    nothing = (top == 0) & (bottom == 0)
    with np.errstate(divide='ignore'):
      return np.where(nothing, both_zero, top / np.where(nothing, 1.0, bottom))

  samples = ratio(*pair[:, draws].mean(-1))
  return _as_interval(float(ratio(*pair.mean(-1))), samples, n)


def of_sums(
  statistic: Callable[[Array], Array],
  parts: Float[Array, 'n ...'],
  seed: int = 0,
  resamples: int = RESAMPLES,
) -> Interval:
  """Interval of a statistic of the sum over episodes.

  Args:
    statistic: of sums `[*m, ...]`, one number each.
    parts: what each episode adds.
    seed: of the resampling.
    resamples: how many sums to draw.
  """
  parts = np.asarray(parts, np.float64)
  n = len(parts)
  rng = np.random.default_rng(seed)
  weights = rng.multinomial(n, np.full(n, 1 / n), resamples)
  samples = np.asarray(statistic(np.tensordot(weights, parts, 1)))
  return _as_interval(float(statistic(parts.sum(0))), samples, n)


def summarise(
  values: Mapping[str, Mapping[str, Array]], seed: int = 0
) -> dict[str, dict[str, Interval]]:
  """Intervals of `{name: {metric: per-episode values}}`, same layout."""
  return {
    name: {metric: interval(x, seed) for metric, x in metrics.items()}
    for name, metrics in values.items()
  }
