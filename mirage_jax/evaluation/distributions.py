"""Distances between two sets of features: kernel (KID) and Frechet.

Both are asked per episode, since frames of one episode are not independent: the
kernel distance compares frames of different episodes only, which keeps it
unbiased, and its interval resamples episodes.
"""

import numpy as np

from mirage_jax.arrays import Array, Float
from mirage_jax.evaluation.statistics import Interval


def _block_means(
  x: Float[Array, 'e t f'], y: Float[Array, 'e t f']
) -> Float[Array, 'e e']:
  """Mean cubic kernel between the frames of each pair of episodes."""
  episodes, frames, width = x.shape
  flat_x = x.reshape(-1, width).astype(np.float64)
  flat_y = y.reshape(-1, width).astype(np.float64)
  kernel = (flat_x @ flat_y.T / width + 1) ** 3
  shape = (episodes, frames, episodes, y.shape[1])
  return kernel.reshape(shape).mean((1, 3))


def _scaled(real: Array, *sets: Array) -> list[Array]:
  """All sets about the real set's mean, in units of its overall spread.

  One scale for all features: some hardly vary in a small real set, and must
  not count for more than those that do.
  """
  flat = real.reshape(-1, real.shape[-1]).astype(np.float64)
  centre = flat.mean(0)
  spread = np.sqrt(((flat - centre) ** 2).mean()) + 1e-12
  return [(x - centre) / spread for x in (real, *sets)]


def kernel_distance(
  real: Float[Array, 'e t f'],
  generated: Float[Array, 'e t f'],
  seed: int = 0,
  resamples: int = 1000,
) -> Interval:
  """Kernel distance of generated from real frames (KID, Binkowski 2018).

  Features are first put in units of the real set's spread. Squared MMD with the
  cubic kernel over pairs of frames of different episodes; may be slightly
  negative when the sets are alike.

  Returns:
    The distance with its bootstrap interval over episodes.

  Raises:
    ValueError: for fewer than two episodes.
  """
  n = len(real)
  if n < 2:
    raise ValueError(f'kernel distance of {n} episode; give at least 2')
  real, generated = _scaled(np.asarray(real), np.asarray(generated))
  within = _block_means(real, real) + _block_means(generated, generated)
  blocks = within - 2 * _block_means(real, generated)
  blocks = np.array((blocks + blocks.T) / 2)
  np.fill_diagonal(blocks, 0.0)

  def distance(weights):
    pairs = weights.sum(-1) ** 2 - (weights**2).sum(-1)
    total = np.einsum('...i,ij,...j->...', weights, blocks, weights)
    return total / np.maximum(pairs, 1e-9)

  draws = np.random.default_rng(seed).multinomial(n, np.ones(n) / n, resamples)
  low, high = np.quantile(distance(draws.astype(np.float64)), (0.025, 0.975))
  mean = distance(np.ones(n))
  return {'mean': float(mean), 'low': float(low), 'high': float(high), 'n': n}


def frechet_distance(
  real: Float[Array, 'n f'],
  generated: Float[Array, 'n f'],
  components: int = 64,
) -> float:
  """Frechet distance of Gaussians fitted to both sets (Heusel et al. 2017).

  Taken in the leading principal components of the real set, in units of its
  spread. Biased upwards for few samples: compare at equal n only.
  """
  real, generated = _scaled(np.asarray(real), np.asarray(generated))
  real, generated = real.astype(np.float64), generated.astype(np.float64)
  components = min(components, real.shape[1], len(real) - 1)
  basis = np.linalg.svd(real - real.mean(0), full_matrices=False)[2]
  x, y = real @ basis[:components].T, generated @ basis[:components].T
  cov_x, cov_y = np.cov(x.T), np.cov(y.T)
  values, vectors = np.linalg.eigh(np.atleast_2d(cov_x))
  root = (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T
  cross = np.linalg.eigvalsh(root @ np.atleast_2d(cov_y) @ root)
  shift = ((x.mean(0) - y.mean(0)) ** 2).sum()
  trace = np.trace(np.atleast_2d(cov_x)) + np.trace(np.atleast_2d(cov_y))
  return float(shift + trace - 2 * np.sqrt(np.maximum(cross, 0)).sum())
