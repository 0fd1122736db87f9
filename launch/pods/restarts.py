"""Trains as launch.train does, for launchers that restart failed runs.

  python -m launch.pods.restarts --config=experiments/mirage_b.py --workdir=DIR

A run that is stopped before its last step saves and exits with 0, which
means success to Kubernetes and SLURM. Here it exits with 75 instead
(EX_TEMPFAIL: try again). It is one process, so that signals reach the training.
"""

import os
import sys
from collections.abc import Mapping
from typing import Any

from absl import flags

from launch import train
from launch.program import run_program

flags.adopt_module_key_flags(train)  # for --help


def exit_code(figures: Mapping[str, Any], steps: int) -> int:
  """Returns 0 for a run that has taken all its steps, else 75.

  With several processes the signal is not known to all, hence `step` decides.
  """
  return os.EX_OK if figures['step'] >= steps else os.EX_TEMPFAIL


def run() -> None:
  """Trains, prints the figures, and exits."""
  code = os.EX_OK

  def main(argv: list[str]) -> Mapping[str, Any]:
    nonlocal code
    figures = train.main(argv)
    code = exit_code(figures, flags.FLAGS.config.train.steps)
    return figures

  try:
    run_program(main)
  except SystemExit as stop:
    sys.exit(stop.code or code)


if __name__ == '__main__':
  run()
