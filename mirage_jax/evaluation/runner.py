"""Runs suites: those that share episodes together, the others one by one."""

import dataclasses
import pathlib
from collections.abc import Mapping, Sequence

from mirage_jax.data.sources.catalog import traits_of
from mirage_jax.evaluation import closed_loop
from mirage_jax.evaluation.baselines import rollouts
from mirage_jax.evaluation.closed_loop import Result
from mirage_jax.evaluation.entrants import Entrant
from mirage_jax.evaluation.reports import tables, videos
from mirage_jax.evaluation.reports.tables import Table
from mirage_jax.evaluation.suite import (
  EpisodeSuite,
  Found,
  Setting,
  Stage,
  Suite,
  make_setup,
  open_clips,
)
from mirage_jax.evaluation.suites import SUITES
from mirage_jax.geometry.clips import Clip

LEAST_OBSERVED = 4  # frames, of stages that observe the context alone


def named(names: Sequence[str]) -> list[Suite]:
  """Looks up suites.

  Raises:
    ValueError: for an unknown one, or none.
  """
  unknown = [name for name in names if name not in SUITES]
  if unknown or not names:
    raise ValueError(
      f"unknown suite '{','.join(unknown)}'; have {', '.join(SUITES)}, all"
    )
  return [SUITES[name] for name in names]


def all_of(source: str) -> list[Suite]:
  """Lists the suites of `--suite=all` that a source has ground truth for."""
  changes = traits_of(source).changes_scenes
  suites = SUITES.values()
  return [x for x in suites if x.in_all and (changes or not x.needs_changes)]


def groups(suites: Sequence[Suite]) -> list[list[Suite]]:
  """Groups suites that are played together, in the order of their first."""
  found: dict[Stage | str, list[Suite]] = {}
  for suite in suites:
    key = suite.stage if isinstance(suite, EpisodeSuite) else suite.name
    found.setdefault(key, []).append(suite)
  return list(found.values())


def run(
  group: Sequence[Suite],
  setting: Setting,
  entrants: Mapping[str, Entrant],
  folder: pathlib.Path,
) -> dict[str, Found]:
  """Runs one of the `groups` and writes its pictures into `folder`."""
  played = [suite for suite in group if isinstance(suite, EpisodeSuite)]
  if played:
    return play(played, setting, entrants, folder)
  return {
    suite.name: Found(suite.run(setting, entrants, folder))
    for suite in group
    if suite.run is not None
  }


def play(
  suites: Sequence[EpisodeSuite],
  setting: Setting,
  entrants: Mapping[str, Entrant],
  folder: pathlib.Path,
) -> dict[str, Found]:
  """Plays the stage that these suites share; draws what each found.

  Raises:
    ValueError: no suite is left, since clips lack object ids.
  """
  stage = suites[0].stage
  if stage.context_only:
    contexts = [entrant.window[0] for entrant in entrants.values()]
    observed = max(LEAST_OBSERVED, *contexts)
    setting = dataclasses.replace(setting, observed=observed)
  clips = open_clips(setting, entrants, stage)
  suites = with_objects(suites, setting.source, clips)
  setup = make_setup(setting, entrants, len(clips))
  scores = {suite.name: suite.score(setting.seed) for suite in suites}
  results = closed_loop.play(clips, setup, scores, rollouts.BASELINES)
  found = {}
  for suite in suites:
    result, models = results[suite.name], list(entrants)
    table = tables.summarise(result, models, setting.seed, suite.ratios)
    draw(folder, suite.name, result, table, models)
    found[suite.name] = Found(table, result.facts)
  return found


def with_objects(
  suites: Sequence[EpisodeSuite], source: str, clips: Sequence[Clip]
) -> list[EpisodeSuite]:
  """Leaves out suites of objects where clips have no object ids; see `play`."""
  if traits_of(source).has_objects or clips[0].object_id is not None:
    return list(suites)
  left = [suite for suite in suites if not suite.needs_objects]
  lacking = ', '.join(suite.name for suite in suites if suite.needs_objects)
  if not left:
    raise ValueError(
      f'{lacking} needs clips with object_id, and those of {source} have none; '
      'choose other suites for this source'
    )
  if lacking:
    print(f'{lacking}: left out, {source} has no object_id', flush=True)
  return left


def file_name(player: str) -> str:
  """A player's name, which may be a path, as a part of a file's name."""
  return player.strip('/').replace('/', '_')


def draw(
  folder: pathlib.Path,
  name: str,
  result: Result,
  table: Table,
  models: list[str],
) -> None:
  """Writes the plots and videos of a suite of episodes.

  Each episode is a video of all models below each other; of the first there is
  one of every model, too.
  """
  for key, curve in result.curves.items():
    tables.plot_curve(folder / f'plots/{name}_{key}.png', curve)
  for metric in list(next(iter(result.values.values()), {}))[:2]:
    tables.plot_scores(folder / f'plots/{name}_{metric}.png', table, metric)
  for i, example in enumerate(result.examples):
    shown = [*models, 'oracle_memory']
    rows = videos.example_rows(example, shown, {})
    for model in models if i == 0 else ():
      path = folder / f'videos/{name}_{i}_{file_name(model)}.mp4'
      videos.write_video(path, rows[model])
    frames = videos.below(list(rows.values()))
    videos.write_video(folder / f'videos/{name}_{i}.mp4', frames)
    sheet = videos.contact_sheet(frames, 12, columns=2)
    videos.write_picture(folder / f'videos/{name}_{i}.png', sheet)
    sheet = videos.players_sheet(example, shown)
    videos.write_picture(folder / f'videos/{name}_{i}_players.png', sheet)
