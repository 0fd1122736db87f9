"""Distances between two sets of features: kernel (KID) and Frechet.

Both are asked per episode, since frames of one episode are not independent: the
kernel distance compares features of different episodes only, which keeps it
unbiased, and resamples are of episodes. Features are first put in units of the
real set's spread.
"""

import numpy as np

from mirage_jax.arrays import Array, Float, Int
from mirage_jax.evaluation.metrics.statistics import BootstrapStatistic

KERNEL_RESAMPLES, FRECHET_RESAMPLES = 1000, 200


def _scaled(real: Array, *sets: Array) -> list[Array]:
  """All sets about the real set's mean, in units of its overall spread.

  One scale for all features: some hardly vary in a small real set, and must
  not count for more than those that do.
  """
  flat = np.asarray(real, np.float64)
  centre = flat.mean(0)
  spread = np.sqrt(((flat - centre) ** 2).mean()) + 1e-12
  return [(np.asarray(x, np.float64) - centre) / spread for x in (real, *sets)]


def _draws(episodes: int, resamples: int, seed: int) -> Float[Array, 'r e']:
  """Draws how often each episode counts; the first row has each once."""
  rng = np.random.default_rng(seed)
  share = np.full(episodes, 1 / episodes)
  drawn = rng.multinomial(episodes, share, resamples)
  return np.concatenate([np.ones((1, episodes)), drawn])


def _starts(episode: Int[Array, 'n']) -> Int[Array, 'e']:
  """Finds the first row of each episode.

  Raises:
    ValueError: for fewer than two episodes, or not in their order.
  """
  if (np.diff(episode) < 0).any():
    raise ValueError('features are not in the order of their episodes')
  starts = np.unique(episode, return_index=True)[1]
  if len(starts) < 2:
    raise ValueError(f'a distance of {len(starts)} episode; give at least 2')
  return starts


def kernel_distance(
  real: Float[Array, 'n f'],
  generated: Float[Array, 'n f'],
  episode: Int[Array, 'n'],
  seed: int = 0,
) -> BootstrapStatistic:
  """Kernel distance of generated from real features (KID, Binkowski 2018).

  Squared MMD with the cubic kernel over pairs of different episodes; may be
  slightly negative when the sets are alike.

  Args:
    real: features.
    generated: as many.
    episode: of each, rising.
    seed: of the resampling.

  Raises:
    ValueError: for fewer than two episodes, or not in their order.
  """
  starts = _starts(episode)
  x, y = _scaled(real, generated)

  def blocks(a, b):
    kernel = (a @ b.T / a.shape[1] + 1) ** 3
    rows = np.add.reduceat(kernel, starts, 0)
    return np.add.reduceat(rows, starts, 1)

  between = blocks(x, y)
  total = blocks(x, x) + blocks(y, y) - between - between.T
  np.fill_diagonal(total, 0.0)
  sizes = np.diff(np.append(starts, len(episode)))
  pairs = np.outer(sizes, sizes) * (1.0 - np.eye(len(sizes)))
  weights = _draws(len(starts), KERNEL_RESAMPLES, seed)
  form = lambda m: np.einsum('ri,ij,rj->r', weights, m, weights)
  values = form(total) / np.maximum(form(pairs), 1e-9)
  return BootstrapStatistic(values[0], values[1:], len(starts))


def frechet_distance(
  real: Float[Array, 'n f'],
  generated: Float[Array, 'n f'],
  episode: Int[Array, 'n'],
  seed: int = 0,
  components: int = 64,
) -> BootstrapStatistic:
  """Frechet distance of Gaussians fitted to both sets (Heusel et al. 2017).

  Taken in the leading principal components of the real set. Biased upwards for
  few samples, resamples even more: compare at equal n only. `n` counts
  features.

  Raises:
    ValueError: for fewer than two episodes, or not in their order.
  """
  starts = _starts(episode)
  x, y = _scaled(real, generated)
  components = min(components, x.shape[1], len(x) - 1)
  basis = np.linalg.svd(x, full_matrices=False)[2][:components].T
  x, y = x @ basis, y @ basis

  def moments(z):
    parts = np.split(z, starts[1:])
    return [
      np.stack([p.sum(0) for p in parts]),
      np.stack([p.T @ p for p in parts]),
    ]

  sizes = np.diff(np.append(starts, len(episode)))
  parts = [*moments(x), *moments(y)]
  values = []
  for weight in _draws(len(starts), FRECHET_RESAMPLES, seed):
    count = weight @ sizes
    sums = [np.tensordot(weight, part, 1) for part in parts]
    values.append(_frechet(count, *sums))
  samples = np.array(values[1:])
  return BootstrapStatistic(values[0], samples, len(episode), positive=True)


def _frechet(
  n: float,
  sum_x: Float[Array, 'c'],
  products_x: Float[Array, 'c c'],
  sum_y: Float[Array, 'c'],
  products_y: Float[Array, 'c c'],
) -> float:
  """The distance from sums over n features and their products."""
  x, y = sum_x / n, sum_y / n
  cov_x = (products_x - n * np.outer(x, x)) / (n - 1)
  cov_y = (products_y - n * np.outer(y, y)) / (n - 1)
  values, vectors = np.linalg.eigh(cov_x)
  root = (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T
  cross = np.linalg.eigvalsh(root @ cov_y @ root)
  trace = np.trace(cov_x) + np.trace(cov_y)
  overlap = 2 * np.sqrt(np.maximum(cross, 0)).sum()
  return float(((x - y) ** 2).sum() + trace - overlap)
