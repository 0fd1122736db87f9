"""A contest: players, the episodes they play, and what is kept of them."""

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import jax
import numpy as np

from mirage_jax.evaluation import visibility
from mirage_jax.evaluation.progress import Progress
from mirage_jax.evaluation.rollouts import Player, Rollout, check_observed
from mirage_jax.evaluation.statistics import Interval
from mirage_jax.geometry.clips import Clip
from mirage_jax.models.video import fill_masks

Values = dict[str, dict[str, np.ndarray]]
Curve = dict[str, tuple[np.ndarray, np.ndarray]]


@dataclasses.dataclass(frozen=True)
class Contest:
  """Who plays, and how.

  Attributes:
    players: by name; the controls are added by each suite.
    windows: (context, target) of every model: masks leave out what any had.
    observed: frames given at the start of an episode.
    episodes: how many of the source's clips, from the first.
    batch: episodes played at once.
    seed: of the players' noise.
    examples: how many episodes are kept for videos.
  """

  players: Mapping[str, Player]
  windows: Sequence[tuple[int, int]]
  observed: int = 16
  episodes: int = 64
  batch: int = 8
  seed: int = 0
  examples: int = 4


@dataclasses.dataclass
class Example:
  """One played episode `[s, ...]` and what each player made of it `[t]`."""

  truth: Clip
  observed: int
  mask: np.ndarray
  rollouts: dict[str, Rollout]


@dataclasses.dataclass
class Result:
  """What a suite found.

  Attributes:
    values: `{player: {metric: one number an episode}}`.
    intervals: figures that are not means over episodes.
    curves: `{curve: {player: (x, y)}}`.
    examples: for videos.
    facts: numbers that describe the episodes.
  """

  values: Values = dataclasses.field(default_factory=dict)
  intervals: dict[str, dict[str, Interval]] = dataclasses.field(
    default_factory=dict
  )
  curves: dict[str, Curve] = dataclasses.field(default_factory=dict)
  examples: list[Example] = dataclasses.field(default_factory=list)
  facts: Mapping[str, float] = dataclasses.field(default_factory=dict)

  def add(self, name: str, found: Mapping[str, Any]) -> None:
    """Appends a batch of per-episode numbers of one player."""
    kept = self.values.setdefault(name, {})
    for metric, numbers in found.items():
      numbers = np.asarray(numbers, np.float64)
      kept[metric] = np.concatenate([kept.get(metric, np.zeros(0)), numbers])


def load_clips(source: Any, indices: Sequence[int]) -> Clip:
  """The clips of a source as one batch, masks filled and objects dropped."""
  clips = [fill_masks(source[i]) for i in indices]
  return jax.tree.map(lambda *x: np.stack(x), *clips)


def batches(source: Any, contest: Contest) -> Iterator[tuple[Clip, Any]]:
  """Batches of episodes with their keys.

  Raises:
    ValueError: when the source has fewer clips than episodes asked for.
  """
  if not 1 <= contest.episodes <= len(source):
    raise ValueError(
      f'{contest.episodes} episodes asked of a source of {len(source)} clips; '
      f'expected 1 to {len(source)}'
    )
  for start in range(0, contest.episodes, contest.batch):
    stop = min(start + contest.batch, contest.episodes)
    key = jax.random.fold_in(jax.random.key(contest.seed), start)
    yield load_clips(source, range(start, stop)), key


def joined_windows(frames: int, contest: Contest) -> np.ndarray:
  """`[t, s]`: which frames any model had in its window."""
  check_observed(frames, contest.observed)
  each = [
    np.asarray(visibility.window_frames(frames, contest.observed, *window))
    for window in contest.windows or [(1, 1)]
  ]
  return np.any(each, axis=0)


def play_all(
  name: str,
  source: Any,
  contest: Contest,
  added: Mapping[str, Player],
  score: Callable[[Clip, dict[str, Rollout], Result], np.ndarray],
) -> Result:
  """Plays every batch with every player and lets `score` add to the result."""
  result, players = Result(), {**contest.players, **added}
  progress = Progress(f'{name}: episodes', contest.episodes)
  for clips, key in batches(source, contest):
    rollouts = {
      name: jax.tree.map(np.asarray, player(clips, contest.observed, key))
      for name, player in players.items()
    }
    masks = np.asarray(score(clips, rollouts, result))
    for i in range(min(len(masks), contest.examples - len(result.examples))):
      one = jax.tree.map(lambda x, i=i: x[i], (clips, masks, rollouts))
      truth, mask, made = one
      example = Example(truth, contest.observed, mask, made)
      result.examples.append(example)
    progress.advance(len(masks))
  return result
