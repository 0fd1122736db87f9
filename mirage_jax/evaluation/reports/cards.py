"""Model cards: what a released model is, was made of, does, and is not for."""

from collections.abc import Mapping, Sequence
from typing import Any

from mirage_jax import trees
from mirage_jax.data.sources.catalog import parts_of
from mirage_jax.evaluation.reports import tables
from mirage_jax.evaluation.reports.tables import Table
from mirage_jax.evaluation.suites import SUITES
from mirage_jax.runs.export import Released

SOURCES = {
  'rooms': 'procedural rooms of this project',
  'streets': 'procedural streets of this project',
  'doom': 'levels of Freedoom (BSD licence), played by ViZDoom',
}
LIMITS = (
  'It was trained on what stands above and nothing else: other places, '
  'sizes, lenses and speeds are guesses.',
  'The memory holds what stands still; movers are masked out of it, and '
  'forgotten when they leave the window.',
  'Poses and depth are taken as given; errors in them blur what is remembered.',
  'Places that nobody has looked at are made up, and at this size made up '
  'badly.',
)
MISUSE = (
  'Generated frames are no evidence of what is there: do not navigate, '
  'measure or decide about people by them.',
  'A memory holds what was shown to it. Memories of private places are as '
  'private as the recordings: `forget` erases, and a file that is shared is '
  'shared for good.',
  'Frames carry no mark that they were generated; say so where they are shown.',
)


def model_card(
  name: str,
  model: Released,
  hours: float,
  hardware: str,
  metrics: Mapping[str, Mapping[str, Table]],
) -> str:
  """A card in Markdown.

  Args:
    name: of the model.
    model: its parameters and its experiment.
    hours: that its training took; 0 = unknown.
    hardware: what it was trained on; empty = unknown.
    metrics: `metrics.json` of evaluations, by what they are to be called.
  """
  facts = _facts(model, hours, hardware)
  main = {name: suite.main for name, suite in SUITES.items()}
  results = []
  for title, each in metrics.items():
    table = tables.overview(each, main)
    results.append(f'### {title}\n\n{table}' if len(metrics) > 1 else table)
  parts = [
    f'# {name}',
    '\n'.join(['| | |', '|---|---|', *(f'| {k} | {v} |' for k, v in facts)]),
    '## Results',
    *(results or ['Not measured.']),
    'Means over episodes and 95 % bootstrap intervals, by `launch.evaluate`.'
    if results
    else '',
    '## Limits',
    '\n'.join(f'- {line}' for line in LIMITS),
    '## Not for',
    '\n'.join(f'- {line}' for line in MISUSE),
  ]
  return '\n\n'.join(part.strip() for part in parts if part) + '\n'


def _facts(
  model: Released, hours: float, hardware: str
) -> list[tuple[str, str]]:
  config = model.config
  source, data, train = (config[x] for x in ('source', 'data', 'train'))
  sampler, memory = config['sampler'], config['memory']['kind']
  kinds = [kind for kind, _ in parts_of(source['kind'])]
  base = train.get('base')
  cost = f'{hours:.2g} hours on {hardware}' if hours and hardware else ''
  return [
    ('parameters', f'{trees.count_parameters(model.params):,}, as bfloat16'),
    (
      'frames',
      f'{source["height"]} x {source["width"]}; {data["context"]} in the '
      f'window, {data["target"]} generated at once by a sampler '
      f'({sampler["kind"]}) of {sampler["steps"]} steps',
    ),
    ('memory', f'`{memory}`' if memory != 'none' else 'none: the window alone'),
    (
      'data',
      '; '.join(SOURCES.get(kind, kind) for kind in kinds)
      + f'; {source["clips"]} clips of {source["frames"]} frames',
    ),
    (
      'training',
      f'{model.steps} steps of {data["batch_size"]} episodes, seed '
      f'{model.seed}' + (f', from `{base}`' if base else ''),
    ),
    *([('cost', cost)] if cost else []),
    ('code', f'commit `{model.commit}`'),
    ('licence', 'Apache 2.0'),
  ]


def training_hours(rows: Sequence[Mapping[str, Any]]) -> float:
  """Hours of the steps in the rows of a `metrics.jsonl`, reports apart."""
  seconds, last = 0.0, 0
  for row in rows:
    seconds += (row['step'] - last) / max(row['steps_per_s'], 1e-9)
    last = row['step']
  return seconds / 3600
