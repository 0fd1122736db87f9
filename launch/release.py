"""Turns a checkpoint into a folder that can be shipped.

  python -m launch.release --checkpoint=WORKDIR --output=FOLDER

Writes `params.safetensors` (the moving average, bfloat16) and `config.json`.
"""

import dataclasses
from typing import Any

from absl import flags, logging

from launch.errors import run_program
from mirage_jax import assembly, trees
from mirage_jax.training import opening, released

_CHECKPOINT = flags.DEFINE_string('checkpoint', None, 'A workdir, or a model.')
_OUTPUT = flags.DEFINE_string('output', None, 'Folder to write.')
_COMMIT = flags.DEFINE_string(
  'commit', None, 'The code that trained it, where the workdir does not say.'
)
_STEP = flags.DEFINE_integer(
  'step', None, 'Which checkpoint of the workdir; the newest if not given.'
)
_SEED = flags.DEFINE_integer('seed', None, 'Has no effect: nothing is drawn.')


def main(_) -> dict[str, Any]:
  """Writes the folder and returns its figures."""
  logging.set_verbosity(logging.ERROR)
  if _CHECKPOINT.value is None or _OUTPUT.value is None:
    missing = 'checkpoint' if _CHECKPOINT.value is None else 'output'
    raise ValueError(f'--{missing} is missing; see --help')
  model = opening.open_checkpoint(_CHECKPOINT.value, _STEP.value)
  assembly.load(_CHECKPOINT.value)  # refuses what this code cannot run
  if _COMMIT.value is not None:
    model = dataclasses.replace(model, commit=_COMMIT.value)
  size = released.export(_OUTPUT.value, model)
  return {
    'output': _OUTPUT.value,
    'bytes': size,
    'parameters': trees.count_parameters(model.params),
    'steps': model.steps,
    'commit': model.commit,
    'seed': model.seed,
  }


if __name__ == '__main__':
  run_program(main)
