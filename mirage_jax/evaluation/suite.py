"""The form of a suite, and the episodes that suites of models share.

A module of `evaluation.suites` ends in a value `SUITE`. There are two kinds:
suites of models score episodes while checkpoints play them (`EpisodeSuite`);
all others run on their own (`Suite`).
"""

import dataclasses
import pathlib
from collections.abc import Callable, Mapping, Sequence

from mirage_jax.data.sources.catalog import traits_of
from mirage_jax.evaluation import episodes, rollout_cache
from mirage_jax.evaluation.closed_loop import (
  ClosedLoopSetup,
  Disturbance,
  Score,
)
from mirage_jax.evaluation.entrants import Entrant
from mirage_jax.evaluation.reports.tables import Table
from mirage_jax.geometry.clips import Clip


@dataclasses.dataclass(frozen=True)
class Setting:
  """Settings of an evaluation: the flags of `launch.evaluate`."""

  source: str
  episodes: int
  frames: int
  observed: int
  batch: int
  videos: int
  stride: int | None = None
  seed: int = 0
  rollouts: str | None = None
  split: str = 'all'


@dataclasses.dataclass(frozen=True, eq=False)
class Stage:
  """Episodes that several suites share; these suites are played together.

  Attributes:
    path: of the camera, in sources that render any path.
    recorded_path: of the camera, in recordings.
    context_only: whether no more is observed than the models' context frames.
  """

  path: str
  recorded_path: str
  context_only: bool = False


RETURN = Stage('out_and_back', 'out_and_back')
EXPLORE = Stage('explore', 'clip')
OWN = Stage('out_and_back', 'out_and_back', context_only=True)


@dataclasses.dataclass(frozen=True)
class Found:
  """Figures of a suite.

  Attributes:
    table: intervals by entrant or comparison, and metric.
    facts: how much of what was counted.
  """

  table: Table
  facts: Mapping[str, int | float] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Suite:
  """A protocol that runs on its own.

  Attributes:
    name: on the command line and in files.
    question: that it answers, in one sentence.
    note: what its metrics mean, for its report.
    main: metrics that entrants are compared by first.
    run: `(setting, entrants, folder) -> table`; writes its pictures into the
      folder. None for a suite of episodes.
    needs_models: whether checkpoints must be given.
    needs_changes: whether the source must be able to change its scenes.
    needs_objects: whether clips must have object ids.
    in_all: whether `--suite=all` runs it.
    remarks: `table -> lines` below the table of its report.
  """

  name: str
  question: str
  note: str = ''
  main: Sequence[str] = ()
  run: (
    Callable[[Setting, Mapping[str, Entrant], pathlib.Path], Table] | None
  ) = None
  needs_models: bool = False
  needs_changes: bool = False
  needs_objects: bool = False
  in_all: bool = True
  remarks: Callable[[Table], list[str]] = lambda table: []


@dataclasses.dataclass(frozen=True, kw_only=True)
class EpisodeSuite(Suite):
  """A protocol that scores played episodes.

  Attributes:
    stage: the episodes.
    score: makes, from a seed, what scores them.
    ratios: metrics whose paired differences come with the relative change.
  """

  stage: Stage
  score: Callable[[int], Score]
  ratios: Sequence[str] = ()
  needs_models: bool = True


def open_clips(
  setting: Setting, entrants: Mapping[str, Entrant], stage: Stage
) -> Sequence[Clip]:
  """Opens the episodes of a stage, at the size of the models.

  Raises:
    ValueError: `--frames` leaves nothing to generate.
  """
  generated = setting.frames - setting.observed
  if generated < 1:
    raise ValueError(
      f'--frames={setting.frames} leaves nothing to generate after '
      f'{setting.observed} observed frames; raise --frames'
    )
  height, width = next(iter(entrants.values())).size
  rendered = traits_of(setting.source).renders_any_path
  request = episodes.Request(
    source=setting.source,
    camera_path=stage.path if rendered else stage.recorded_path,
    observed=setting.observed,
    generated=generated,
    height=height,
    width=width,
    seed=setting.seed,
    split=setting.split,
    clip=max(entrant.trained.clip_frames for entrant in entrants.values()),
  )
  clips = episodes.open_episodes(request, setting.episodes)
  if len(clips) < setting.episodes:
    print(f'{setting.source} has {len(clips)} episodes, not {setting.episodes}')
  return clips


def make_setup(
  setting: Setting,
  entrants: Mapping[str, Entrant],
  count: int,
  disturb: Disturbance | None = None,
) -> ClosedLoopSetup:
  """Makes the closed loop of these checkpoints over `count` episodes."""
  players = {name: entrant.player for name, entrant in entrants.items()}
  if setting.rollouts is not None:
    players = {
      name: rollout_cache.kept(
        player, pathlib.Path(setting.rollouts) / name, entrants[name].identity
      )
      for name, player in players.items()
    }
  return ClosedLoopSetup(
    players=players,
    windows=[entrant.window for entrant in entrants.values()],
    observed=setting.observed,
    episodes=count,
    batch=setting.batch,
    seed=setting.seed,
    examples=setting.videos,
    disturb=disturb,
  )
