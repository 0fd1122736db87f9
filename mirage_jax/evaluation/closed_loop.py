"""A setup: players, the episodes they play, and what is kept of them."""

import dataclasses
import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

import jax
import numpy as np

from mirage_jax.arrays import Array, Key
from mirage_jax.evaluation.metrics import visibility
from mirage_jax.evaluation.metrics.statistics import (
  BootstrapStatistic,
  Interval,
)
from mirage_jax.evaluation.rollouts import Player, Rollout, check_observed
from mirage_jax.geometry.clips import Clip, take_frames
from mirage_jax.models.codec import fill_masks
from mirage_jax.progress import Progress

# (clips [b, s], number observed, key) -> the clips as players see them.
Disturbance = Callable[[Clip, int, Key[jax.Array, '']], Clip]
Values = dict[str, dict[str, np.ndarray]]


@dataclasses.dataclass(frozen=True)
class Curve:
  """Lines of entrants in one plot.

  Attributes:
    y_label: of the vertical axis.
    x_label: of the horizontal axis.
    lines: `(x, y)` by name.
  """

  y_label: str
  x_label: str
  lines: Mapping[str, tuple[np.ndarray, np.ndarray]]


@dataclasses.dataclass(frozen=True)
class ClosedLoopSetup:
  """Settings of a closed loop: the players and their episodes.

  Attributes:
    players: by name; the baselines are added by each suite.
    windows: (context, target) of every model: masks leave out what any had.
    observed: frames given at the start of an episode.
    episodes: how many of the source's clips, from the first.
    batch: episodes played at once.
    seed: of the players' noise.
    examples: how many episodes are kept for videos.
    disturb: what spoils the observed frames that players are given; scores
      know the true ones.
  """

  players: Mapping[str, Player]
  windows: Sequence[tuple[int, int]]
  observed: int = 16
  episodes: int = 64
  batch: int = 8
  seed: int = 0
  examples: int = 4
  disturb: Disturbance | None = None


@dataclasses.dataclass
class Example:
  """One played episode `[s, ...]` and what each player made of it `[t]`."""

  truth: Clip
  observed: int
  mask: np.ndarray
  rollouts: dict[str, Rollout]


@dataclasses.dataclass
class Result:
  """Findings of a suite.

  Attributes:
    values: `{player: {metric: one number an episode}}`.
    intervals: figures that are not means over episodes.
    sampled: figures that are not means either, with their resamples, so that
      models can be compared.
    curves: by the name of their plot.
    examples: for videos.
    facts: numbers that describe the episodes.
  """

  values: Values = dataclasses.field(default_factory=dict)
  intervals: dict[str, dict[str, Interval]] = dataclasses.field(
    default_factory=dict
  )
  sampled: dict[str, dict[str, BootstrapStatistic]] = dataclasses.field(
    default_factory=dict
  )
  curves: dict[str, Curve] = dataclasses.field(default_factory=dict)
  examples: list[Example] = dataclasses.field(default_factory=list)
  facts: Mapping[str, int | float] = dataclasses.field(default_factory=dict)

  def add(self, name: str, found: Mapping[str, Any]) -> None:
    """Appends a batch of per-episode numbers of one player."""
    kept = self.values.setdefault(name, {})
    for metric, numbers in found.items():
      numbers = np.asarray(numbers, np.float64)
      kept[metric] = np.concatenate([kept.get(metric, np.zeros(0)), numbers])


@dataclasses.dataclass(frozen=True)
class Played:
  """A batch of episodes and what every player made of it.

  Attributes:
    episodes: `[b, s, ...]` whole episodes, with their objects if there are any.
    observed: frames given at the start.
    window: `[t, s]` which frames any model had in its window.
    rollouts: by player.
  """

  episodes: Clip
  observed: int
  window: np.ndarray
  rollouts: Mapping[str, Rollout]

  @functools.cached_property
  def clips(self) -> Clip:
    """The episodes without their objects, masks filled."""
    return fill_masks(self.episodes)

  @functools.cached_property
  def truth(self) -> Clip:
    """The true frames after the observed ones."""
    return take_frames(self.clips, slice(self.observed, None), axis=1)

  @functools.cached_property
  def returned(self) -> visibility.Returned:
    """Pixels of these frames that come back into view."""
    found = visibility.find_returned_batch(
      self.clips, self.window, self.observed
    )
    return jax.tree.map(np.asarray, found)


@runtime_checkable
class Score(Protocol):
  """A suite: what it makes of the episodes while they are played."""

  def add(self, played: Played, result: Result) -> Array | None:
    """Scores a batch; returns the pixels `[b, t, h, w]` that videos show."""
    ...

  def finish(self, result: Result) -> None:
    """Adds what needs all episodes."""


def load_clips(source: Any, indices: Sequence[int]) -> Clip:
  """The clips of a source as one batch, absent masks filled."""
  clips = [source[i] for i in indices]
  filled = [
    dataclasses.replace(clip, dynamic=full.dynamic, sky=full.sky)
    for clip, full in zip(clips, map(fill_masks, clips), strict=True)
  ]
  return jax.tree.map(lambda *x: np.stack(x), *filled)


def batches(source: Any, setup: ClosedLoopSetup) -> Iterator[tuple[Clip, Any]]:
  """Batches of episodes with their keys.

  Raises:
    ValueError: when the source has fewer clips than episodes asked for.
  """
  if not 1 <= setup.episodes <= len(source):
    raise ValueError(
      f'{setup.episodes} episodes asked of a source of {len(source)} clips; '
      f'expected 1 to {len(source)}'
    )
  for start in range(0, setup.episodes, setup.batch):
    stop = min(start + setup.batch, setup.episodes)
    key = jax.random.fold_in(jax.random.key(setup.seed), start)
    yield load_clips(source, range(start, stop)), key


def joined_windows(frames: int, setup: ClosedLoopSetup) -> np.ndarray:
  """`[t, s]`: which frames any model had in its window."""
  check_observed(frames, setup.observed)
  each = [
    np.asarray(visibility.window_frames(frames, setup.observed, *window))
    for window in setup.windows or [(1, 1)]
  ]
  return np.any(each, axis=0)


def play(
  source: Any,
  setup: ClosedLoopSetup,
  scores: Mapping[str, Score],
  baselines: Mapping[str, Player],
) -> dict[str, Result]:
  """Plays every batch with every player once, for all `scores`.

  Args:
    source: clips with exact depth; their first frames are given, the rest is
      generated along the clip's own cameras.
    setup: who plays.
    scores: the suites, by name.
    baselines: players that stand beside the models.

  Returns:
    What each suite found.

  Raises:
    ValueError: too few clips, or too short ones.
  """
  results = {name: Result() for name in scores}
  players = {**setup.players, **baselines}
  progress = Progress(f'{", ".join(scores)}: episodes', setup.episodes)
  for episodes, key in batches(source, setup):
    window = joined_windows(episodes.time_s.shape[1], setup)
    clips, rollouts = fill_masks(episodes), {}
    if setup.disturb is not None:
      clips = setup.disturb(clips, setup.observed, key)
    for name, player in players.items():
      rollout = player(clips, setup.observed, key)
      rollouts[name] = jax.tree.map(np.asarray, rollout)
    played = Played(episodes, setup.observed, window, rollouts)
    for name, score in scores.items():
      mask = score.add(played, results[name])
      if mask is not None:
        keep_examples(played, mask, results[name], setup.examples)
    progress.advance(len(clips.time_s))
  for name, score in scores.items():
    score.finish(results[name])
  return results


def keep_examples(
  played: Played, mask: Array, result: Result, wanted: int
) -> None:
  """Keeps the first episodes of a batch until there are `wanted` in all."""
  for i in range(min(len(mask), wanted - len(result.examples))):
    one = jax.tree.map(
      lambda x, i=i: x[i], (played.clips, mask, dict(played.rollouts))
    )
    truth, its_mask, made = one
    result.examples.append(Example(truth, played.observed, its_mask, made))
