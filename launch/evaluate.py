"""Evaluates models and memories by suites.

  python -m launch.evaluate --suite=closed_loop,exploration,own_return \
    --checkpoint=rooms_tiny,rooms_tiny_window --source=rooms --output=DIR
  python -m launch.evaluate --suite=readout --source=FOLDER --output=DIR

Writes into --output: `metrics.json`, a table of each suite (`SUITE.md`) and of
the main figures of all (`summary.md`), `plots/` and `videos/`. Several
checkpoints play the same episodes, and every pair of them is compared by paired
differences. Several sources with commas between them are measured one after the
other, each in a folder of its own. The suites of memories (readout, retention,
changed, cost) need no checkpoint.
"""

import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

from absl import flags, logging

from launch.program import run_program
from mirage_jax.data.sources.catalog import parts_of
from mirage_jax.evaluation import runner
from mirage_jax.evaluation.entrants import Entrant, flag_list, open_entrants
from mirage_jax.evaluation.metrics import perceptual
from mirage_jax.evaluation.reports import tables
from mirage_jax.evaluation.reports.tables import Table
from mirage_jax.evaluation.suite import Found, Setting, Suite
from mirage_jax.evaluation.suites import SUITES
from mirage_jax.io import staged

_SUITE = flags.DEFINE_string(
  'suite',
  'closed_loop,exploration,own_return',
  f'Some of {", ".join(SUITES)} with commas between them, or all '
  '(but robustness).',
)
_CHECKPOINT = flags.DEFINE_string(
  'checkpoint', None, 'Workdirs, released folders or shipped names, by commas.'
)
_SOURCE = flags.DEFINE_string(
  'source',
  'rooms',
  "'rooms', 'streets', 'doom', a folder with a transforms.json, an .npz of "
  'episodes; or several with commas between them.',
)
_EPISODES = flags.DEFINE_integer('episodes', 64, 'Episodes of each suite.')
_FRAMES = flags.DEFINE_integer('frames', 48, 'Frames of an episode.')
_OBSERVED = flags.DEFINE_integer(
  'observed', 16, 'Frames given; own_return gives only a window, at least 4.'
)
_BATCH = flags.DEFINE_integer('batch', 8, 'Episodes played at once.')
_VIDEOS = flags.DEFINE_integer('videos', 2, 'Videos written of each suite.')
_STRIDE = flags.DEFINE_integer(
  'stride', None, 'Downsampling of a folder in readout; 2 if not given.'
)
_STEPS = flags.DEFINE_integer(
  'steps', None, 'Sampler steps a chunk; those of the config if not given.'
)
_WRITE = flags.DEFINE_bool(
  'write_generated', True, 'Whether generated frames enter the memory.'
)
_SPLIT = flags.DEFINE_enum(
  'split',
  'all',
  ['all', 'train', 'test'],
  'Of a recording, in suites of models: all of it, or what launch.train takes '
  'for training or holds out. Worlds and games always give their test split.',
)
_ROLLOUTS = flags.DEFINE_string(
  'rollouts',
  None,
  'Folder where what the checkpoints played is kept and found again: an '
  'evaluation that was cut off goes on, and further suites cost only their '
  'scores. Give another one when the code changes.',
)
_SEED = flags.DEFINE_integer('seed', 0, 'Of episodes, noise and bootstrap.')
_OUTPUT = flags.DEFINE_string('output', None, 'Folder for what is written.')

SUMMARY = 'summary.md'


def main(_) -> dict[str, Any]:
  """Runs the suites that the flags name and returns their main figures."""
  logging.set_verbosity(logging.ERROR)
  sources = [source for source, _ in parts_of(_SOURCE.value)]
  suites = {source: choose_suites(_SUITE.value, source) for source in sources}
  if _OUTPUT.value is None:
    raise ValueError('--output is missing; give a folder for the results')
  for flag in (_EPISODES, _BATCH, _OBSERVED):
    if flag.value < 1:
      raise ValueError(f'--{flag.name}={flag.value}; expected 1 or more')
  output = pathlib.Path(_OUTPUT.value)
  entrants = open_asked([suite for each in suites.values() for suite in each])
  if len(sources) == 1:
    return measure(suites[sources[0]], sources[0], entrants, output)
  folders = folders_of(sources)
  found = {
    folder: measure(suites[source], source, entrants, output / folder)
    for folder, source in zip(folders, sources, strict=True)
  }
  texts = [
    f'## {folder}\n\n{(output / folder / SUMMARY).read_text(encoding="utf-8")}'
    for folder in folders
  ]
  tables.write_text(output / SUMMARY, '\n'.join(texts))
  return found


def folders_of(sources: Sequence[str]) -> list[str]:
  """A folder's name for each source.

  Raises:
    ValueError: two sources have one name.
  """
  names = [pathlib.PurePath(source).stem for source in sources]
  if len(set(names)) < len(names):
    raise ValueError(
      f'--source={",".join(sources)} has two of one name; evaluate them one by '
      'one'
    )
  return names


def measure(
  suites: Sequence[Suite],
  source: str,
  entrants: Mapping[str, Entrant],
  output: pathlib.Path,
) -> dict[str, Any]:
  """Runs suites on one source and returns their main figures."""
  setting = Setting(
    source=source,
    episodes=_EPISODES.value,
    frames=_FRAMES.value,
    observed=_OBSERVED.value,
    batch=_BATCH.value,
    videos=_VIDEOS.value,
    stride=_STRIDE.value,
    seed=_SEED.value,
    rollouts=_ROLLOUTS.value,
    split=_SPLIT.value,
  )
  figures = {}
  for group in runner.groups(suites):
    print(f'{", ".join(x.name for x in group)}: starting', flush=True)
    for name, table in run_group(group, setting, entrants, output).items():
      figures[name] = tables.headline(table)
  return {'metrics': str(output / 'metrics.json'), **figures}


def choose_suites(text: str, source: str) -> list[Suite]:
  """Looks up the suites of `--suite`; `all` needs ground truth of the source.

  Raises:
    ValueError: for an unknown one, or none.
  """
  return (
    runner.all_of(source) if text == 'all' else runner.named(flag_list(text))
  )


def open_asked(suites: Sequence[Suite]) -> dict[str, Entrant]:
  """Opens the checkpoints, which suites of models need and others may have."""
  checkpoints = flag_list(_CHECKPOINT.value)
  needed = any(suite.needs_models for suite in suites)
  if needed:
    perceptual.check_installed()
  if checkpoints or needed:
    return open_entrants(checkpoints, _STEPS.value, _WRITE.value)
  return {}


def run_group(
  group: Sequence[Suite],
  setting: Setting,
  entrants: Mapping[str, Entrant],
  output: pathlib.Path,
) -> dict[str, Table]:
  """Runs suites that are played together; writes figures and pictures."""
  with staged(output) as folder:
    found = runner.run(group, setting, entrants, folder)
    texts = {
      name: describe(SUITES[name], setting, x) for name, x in found.items()
    }
    for name, text in texts.items():
      tables.write_text(folder / f'{name}.md', text)
  figures = {name: x.table for name, x in found.items()}
  every = tables.write_metrics(output / 'metrics.json', figures)
  main = {name: suite.main for name, suite in SUITES.items()}
  tables.write_text(output / SUMMARY, tables.overview(every, main))
  for text in texts.values():
    print(text, flush=True)
  return figures


def describe(suite: Suite, setting: Setting, found: Found) -> str:
  """Writes a suite's report: question, conditions, meaning, tables, remarks."""
  parts = [f'## {suite.name} ({setting.source})', suite.question]
  if suite.needs_models:
    split = '' if setting.split == 'all' else f', split {setting.split}'
    parts.append(
      f'{setting.episodes} episodes of {setting.frames} frames, '
      f'{setting.observed} observed (own_return: the context frames alone), '
      f'seed {setting.seed}{split}.'
    )
  parts += [suite.note] if suite.note else []
  if found.facts:
    facts = [f'{v:g} {k.replace("_", " ")}' for k, v in found.facts.items()]
    parts.append(f'Counted: {", ".join(facts)}.')
  parts.append(tables.markdown_table(found.table))
  parts += suite.remarks(found.table)
  return '\n\n'.join(parts) + '\n'


if __name__ == '__main__':
  run_program(main)
