"""Exports a checkpoint as a folder that can be shipped.

  python -m launch.release --checkpoint=WORKDIR --output=FOLDER

Writes `params.safetensors` (the moving average, bfloat16), `config.json`, and
the model's card, `README.md`, with the tables of `--metrics`.
"""

import dataclasses
import pathlib
from typing import Any

from absl import flags, logging

from launch.program import run_program
from mirage_jax import build, trees
from mirage_jax.evaluation.entrants import flag_list
from mirage_jax.evaluation.reports import cards, tables
from mirage_jax.runs import export, locate, metrics

_CHECKPOINT = flags.DEFINE_string('checkpoint', None, 'A workdir, or a model.')
_OUTPUT = flags.DEFINE_string('output', None, 'Folder to write.')
_COMMIT = flags.DEFINE_string(
  'commit', None, 'Commit that trained it, if the workdir does not name it.'
)
_STEP = flags.DEFINE_integer(
  'step', None, 'Checkpoint of the workdir; the newest if not given.'
)
_METRICS = flags.DEFINE_string(
  'metrics',
  None,
  'Files metrics.json of launch.evaluate, by commas; several are named by '
  'their folders.',
)
_HARDWARE = flags.DEFINE_string(
  'hardware', '', 'Training hardware, for the card, as in: two CPU cores.'
)
_HOURS = flags.DEFINE_float(
  'hours', None, 'Hours of training; those of the workdir if not given.'
)


def main(_) -> dict[str, Any]:
  """Writes the folder and returns its figures."""
  logging.set_verbosity(logging.ERROR)
  if _CHECKPOINT.value is None or _OUTPUT.value is None:
    missing = 'checkpoint' if _CHECKPOINT.value is None else 'output'
    raise ValueError(f'--{missing} is missing; see --help')
  model = locate.open_checkpoint(_CHECKPOINT.value, _STEP.value)
  build.load(_CHECKPOINT.value)  # refuses models that this code cannot run
  if _COMMIT.value is not None:
    model = dataclasses.replace(model, commit=_COMMIT.value)
  found = {
    pathlib.Path(path).parent.name: read_metrics(path)
    for path in flag_list(_METRICS.value)
  }
  hours = _HOURS.value
  if hours is None:
    hours = cards.training_hours(metrics.read_metrics(_CHECKPOINT.value))
  folder = pathlib.Path(_OUTPUT.value)
  size = export.export(folder, model)
  card = cards.model_card(folder.name, model, hours, _HARDWARE.value, found)
  tables.write_text(folder / 'README.md', card)
  return {
    'output': _OUTPUT.value,
    'bytes': size,
    'parameters': trees.count_parameters(model.params),
    'steps': model.steps,
    'commit': model.commit,
    'seed': model.seed,
  }


def read_metrics(path: str) -> dict[str, tables.Table]:
  """Reads the tables of a `metrics.json`.

  Raises:
    ValueError: it is not such a file.
  """
  try:
    return tables.read_metrics(path)
  except (OSError, ValueError) as error:
    raise ValueError(
      f'--metrics={path} cannot be read ({error}); expected a metrics.json of '
      'launch.evaluate'
    ) from None


if __name__ == '__main__':
  run_program(main)
