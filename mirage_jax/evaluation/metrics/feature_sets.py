"""Distances between the set of true pictures and that of each player's."""

from collections.abc import Mapping

import numpy as np

from mirage_jax.arrays import Array, Float, Int
from mirage_jax.evaluation.metrics import distributions, perceptual
from mirage_jax.evaluation.metrics.statistics import BootstrapStatistic


class FeatureSets:
  """Features of true and of generated pictures, batch by batch.

  Args:
    seed: of the resampling.
  """

  def __init__(self, seed: int = 0):
    self._seed = seed
    self._real: list[Array] = []
    self._made: dict[str, list[Array]] = {}
    self._episode: list[Array] = []
    self._episodes = 0

  def add(
    self,
    true: Float[Array, 'n h w 3'],
    made: Mapping[str, Float[Array, 'n h w 3']],
    episode: Int[np.ndarray, 'n'],
    episodes: int,
  ) -> None:
    """Adds pictures in [0, 1].

    Args:
      true: what each should be.
      made: what each player made of it.
      episode: of each picture, in the batch, rising.
      episodes: how many the batch has, with those that show nothing.
    """
    if len(episode):
      self._real.append(np.asarray(perceptual.features(true)))
      self._episode.append(self._episodes + episode)
      for name, rgb in made.items():
        features = np.asarray(perceptual.features(rgb))
        self._made.setdefault(name, []).append(features)
    self._episodes += episodes

  @property
  def counts(self) -> tuple[int, int]:
    """Pictures, and the episodes that they are of."""
    if not self._episode:
      return 0, 0
    episode = np.concatenate(self._episode)
    return len(episode), len(np.unique(episode))

  def distances(
    self, prefix: str = '', averaged: bool = False
  ) -> dict[str, dict[str, BootstrapStatistic]]:
    """`kid` and `frechet` of every player, their names after `prefix`.

    Args:
      prefix: of the metrics' names.
      averaged: whether the features of each episode are averaged first.

    Returns:
      Nothing where there are fewer than two episodes.
    """
    if self.counts[1] < 2:
      return {}
    episode = np.concatenate(self._episode)
    starts = np.unique(episode, return_index=True)[1]
    number = np.diff(np.append(starts, len(episode)))[:, None]

    def joined(parts: list[Array]) -> Array:
      features = np.concatenate(parts)
      if not averaged:
        return features
      return np.add.reduceat(features, starts) / number

    real = joined(self._real)
    of = episode[starts] if averaged else episode
    found = {}
    for name, parts in self._made.items():
      made = joined(parts)
      kid = distributions.kernel_distance(real, made, of, self._seed)
      frechet = distributions.frechet_distance(real, made, of, self._seed)
      found[name] = {f'{prefix}kid': kid, f'{prefix}frechet': frechet}
    return found
