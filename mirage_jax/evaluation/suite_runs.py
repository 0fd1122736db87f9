"""The suites of `launch.evaluate`: each runs, writes its pictures, and
returns its table."""

import dataclasses
import pathlib
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from mirage_jax import worlds
from mirage_jax.evaluation import closed_loop as contests
from mirage_jax.evaluation import controls, stages
from mirage_jax.evaluation.closed_loop import Result, Score
from mirage_jax.evaluation.entrants import Entrant
from mirage_jax.evaluation.reports import tables as reports
from mirage_jax.evaluation.reports import videos
from mirage_jax.evaluation.reports.tables import Suite
from mirage_jax.evaluation.stages import Setting, Stage
from mirage_jax.evaluation.suites import (
  calibration,
  changed,
  cost,
  memory_gain,
  object_consistency,
  object_position,
  own_return,
  protocols,
  readout,
  readout_figures,
  retention,
  robustness,
)
from mirage_jax.geometry.clips import Clip
from mirage_jax.memory.contract import Memory

OWN_OBSERVED = 4
READOUT_SCENES, RETENTION_SCENES, CHANGED_SCENES = 16, 8, 16


@dataclasses.dataclass(frozen=True)
class Found:
  """What a suite found.

  Attributes:
    table: intervals by player and metric.
    facts: how much of what was counted.
  """

  table: Suite
  facts: Mapping[str, float] = dataclasses.field(default_factory=dict)


def play(
  names: Sequence[str],
  setting: Setting,
  entrants: Mapping[str, Entrant],
  folder: pathlib.Path,
) -> dict[str, Found]:
  """Plays the stage that these suites share; draws what each found.

  Suites of objects are left out, and said so, where a source does not tell
  which pixel is of which object.

  Raises:
    ValueError: no suite is left.
  """
  stage = OF_MODELS[names[0]][0]
  if stage.window_only:
    windows = [entrant.trained.context_frames for entrant in entrants.values()]
    observed = max(OWN_OBSERVED, *windows)
    setting = dataclasses.replace(setting, observed=observed)
  clips = stages.open_clips(setting, entrants, stage)
  names = with_objects(names, setting.source, clips)
  contest = stages.make_contest(setting, entrants, len(clips))
  scores = {name: OF_MODELS[name][1](setting.seed) for name in names}
  results = contests.play(clips, contest, scores, controls.CONTROLS)
  tables = {}
  for name, result in results.items():
    table = reports.summarise(result, list(entrants), setting.seed)
    stages.draw(folder, name, result, table, list(entrants))
    tables[name] = Found(table, result.facts)
  return tables


def with_objects(
  names: Sequence[str], source: str, clips: Sequence[Clip]
) -> list[str]:
  """The suites that clips have truth for; see `play`."""
  if source in worlds.KINDS or clips[0].object_id is not None:
    return list(names)
  left = [name for name in names if name not in OF_OBJECTS]
  lacking = ', '.join(name for name in names if name in OF_OBJECTS)
  if not left:
    raise ValueError(
      f'{lacking} needs clips with object_id, and those of {source} have none; '
      'choose other suites for this source'
    )
  if lacking:
    print(f'{lacking}: left out, {source} has no object_id', flush=True)
  return left


def robust(setting, entrants, folder) -> Suite:
  """The closed loop with what is observed spoiled, and as it is."""
  clips = stages.open_clips(setting, entrants, stages.RETURN)
  guards = dict(controls.CONTROLS)
  del guards['ground_truth']  # knows what is not observed

  def closed_loop(disturb: contests.Disturbance | None) -> Result:
    contest = stages.make_contest(setting, entrants, len(clips), disturb)
    scores = {'robustness': protocols.ClosedLoop(setting.seed)}
    return contests.play(clips, contest, scores, guards)['robustness']

  result = robustness.run(closed_loop)
  for title, curve in result.curves.items():
    kind = title.rpartition(' against ')[2]
    reports.plot_curve(folder / f'plots/robustness_{kind}.png', title, curve)
  return reports.summarise(result, list(entrants), setting.seed)


def _memories(entrants: Mapping[str, Entrant]) -> dict[str, Memory]:
  """The standard memories, and those of the checkpoints by their names.

  Those that render nothing are left out.
  """
  theirs = {name: x.model.memory for name, x in entrants.items()}
  return dict(readout.MEMORIES) | {
    name: x for name, x in theirs.items() if x is not None and x.renders
  }


def held_out_views(setting, entrants, folder) -> Suite:
  """What memories show of held-out frames; needs no generator."""
  table, views = readout.run(
    setting.source,
    _memories(entrants),
    stride=setting.stride,
    scenes=min(setting.episodes, READOUT_SCENES),
    seed=setting.seed,
  )
  panels = readout_figures.panels(views[0])
  sheet = readout_figures.contact_sheet(panels)
  videos.write_picture(folder / 'plots/readout.png', sheet)
  video = videos.enlarge(panels, 1200)
  videos.write_video(folder / 'videos/readout.mp4', video, fps=4)
  for metric in ('psnr_db', 'psnr_all_db', 'coverage'):
    reports.plot_scores(folder / f'plots/readout_{metric}.png', table, metric)
  return table


def retained(setting, entrants, folder) -> Suite:
  """What later writes cost what was written first."""
  table, curves = retention.run(
    _memories(entrants),
    setting.source,
    scenes=min(setting.episodes, RETENTION_SCENES),
    seed=setting.seed,
  )
  shown = {
    name: (np.arange(curve.shape[1]), np.nanmean(curve, 0))
    for name, curve in curves.items()
  }
  title = 'psnr_db of the first chunk against writes'
  reports.plot_curve(folder / 'plots/retention.png', title, shown)
  return table


def changes(setting, entrants, folder) -> Suite:
  """What is still shown as it was, after an object has vanished unseen."""
  if setting.source not in worlds.KINDS:
    raise ValueError(
      f"suite changed takes things away, which '{setting.source}' does not "
      'allow; give --source=rooms or streets'
    )
  return changed.run(
    _memories(entrants),
    setting.source,
    scenes=min(setting.episodes, CHANGED_SCENES),
    seed=setting.seed,
  )


def costs(setting, entrants, folder) -> Suite:
  """Bytes and milliseconds against the number of chunks."""
  memories, layers = dict(readout.MEMORIES), {}
  for name, x in entrants.items():
    if x.model.memory is not None:
      memories[name] = x.model.memory
    if x.memory_layers is not None:
      layers[name] = x.memory_layers
  ours = cost.OURS if cost.OURS in entrants else next(iter(entrants), cost.OURS)
  table, sizes = cost.run(
    memories,
    setting.source,
    layers=layers,
    compiled={name: x.player.compiled for name, x in entrants.items()},
    ours=ours,
    size=next((x.size for x in entrants.values()), None),
    seed=setting.seed,
  )
  shown = {
    name: (np.arange(len(each)), np.array(each) / 2**20)
    for name, each in sizes.items()
  }
  title = 'MiB against chunks written'
  reports.plot_curve(folder / 'plots/cost.png', title, shown)
  for what in cost.TIMES:
    times = {name: cost.curve(found, what) for name, found in table.items()}
    shown = {name: x for name, x in times.items() if len(x[0])}
    title = f'ms to {what} against chunks written'
    reports.plot_curve(folder / f'plots/cost_{what}.png', title, shown)
  return table


# The stage of each suite of models, and what scores it, made from a seed.
OF_MODELS: Mapping[str, tuple[Stage, Callable[[int], Score]]] = {
  'closed_loop': (stages.RETURN, protocols.ClosedLoop),
  'memory_gain': (stages.RETURN, memory_gain.MemoryGain),
  'object_consistency': (stages.RETURN, object_consistency.ObjectConsistency),
  'object_position': (
    stages.RETURN,
    lambda seed: object_position.ObjectPosition(),
  ),
  'calibration': (stages.RETURN, calibration.Calibration),
  'exploration': (stages.EXPLORE, protocols.Exploration),
  'own_return': (stages.OWN, lambda seed: own_return.OwnReturn()),
}
OTHERS: Mapping[str, Callable[..., Suite]] = {
  'robustness': robust,
  'readout': held_out_views,
  'retention': retained,
  'changed': changes,
  'cost': costs,
}
NAMES = (*OF_MODELS, *OTHERS)
NEED_MODELS = (*OF_MODELS, 'robustness')
OF_WORLDS = ('changed',)
OF_OBJECTS = ('object_consistency', 'object_position')


def all_of(source: str) -> list[str]:
  """The suites that a source has truth for.

  Without robustness: ten times the closed loop, so asked for by name.
  """
  left_out = {'robustness'}
  if source not in worlds.KINDS:
    left_out.update(OF_WORLDS)
  return [name for name in NAMES if name not in left_out]


def groups(names: Sequence[str]) -> list[list[str]]:
  """Suites that are played together, in the order of their first."""
  found: dict[Stage | str, list[str]] = {}
  for name in names:
    key = OF_MODELS[name][0] if name in OF_MODELS else name
    found.setdefault(key, []).append(name)
  return list(found.values())


def run(
  names: Sequence[str],
  setting: Setting,
  entrants: Mapping[str, Entrant],
  folder: pathlib.Path,
) -> dict[str, Found]:
  """Runs one of the `groups`."""
  if names[0] in OF_MODELS:
    return play(names, setting, entrants, folder)
  return {
    name: Found(OTHERS[name](setting, entrants, folder)) for name in names
  }
