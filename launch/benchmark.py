"""Measures the speed of worlds, memory, training and sampling.

  python -m launch.benchmark [--rows=worlds,memory,train,sample] [--repeats=9]

Prints a table, writes `--output`, and ends in one line of JSON. Ratios compare
calls that take turns within this run; times alone depend on the machine. A
point is a pixel that is written, or a ray that is read.
"""

import dataclasses
import functools
import json
import os
import pathlib
import platform
from collections.abc import Callable
from typing import Any

import jax
import ml_collections
from absl import flags

from experiments import (
  bench,
  rooms_tiny,
  rooms_tiny_hash_grid,
  rooms_tiny_window,
  smoke,
)
from launch.program import run_program
from mirage_jax.profiling import cases, memory_cases
from mirage_jax.profiling.timing import Rows
from mirage_jax.runs.workdirs import write_text

_ROWS = flags.DEFINE_list(
  'rows',
  ['worlds', 'memory', 'train', 'sample'],
  'Rows to measure; `bench` compares all memories of the bench.',
)
_SMALL = flags.DEFINE_bool(
  'small', False, 'Takes the sizes of `smoke`: shows that all of it runs.'
)
_REPEATS = flags.DEFINE_integer(
  'repeats', 9, 'Measurements of each row.', lower_bound=1
)
_SEED = flags.DEFINE_integer('seed', 0, 'Of the worlds and parameters.')
_OUTPUT = flags.DEFINE_string('output', None, 'JSON file to write, if any.')


def measures(small: bool) -> dict[str, Callable[[int, int], Rows]]:
  """Maps names of `--rows` to functions `(repeats, seed) -> rows`."""
  tiny = settings_of(rooms_tiny.get_config(), small)
  window = settings_of(rooms_tiny_window.get_config(), small)
  models = {'memory': tiny, 'window': window}
  place_keyed = settings_of(rooms_tiny_hash_grid.get_config(), small)
  memories = {'view_grid': tiny, 'hash_grid': place_keyed}
  compared = {
    x: settings_of(bench.get_config(x), small) for x in bench.MEMORIES
  }
  partial = functools.partial
  return {
    'worlds': partial(cases.worlds, settings=tiny),
    'memory': partial(memory_cases.memory, experiments=memories),
    'train': partial(cases.train, experiments=models),
    'sample': partial(cases.sample, experiments=models),
    'bench': partial(cases.bench, experiments=compared),
  }


def settings_of(
  config: ml_collections.ConfigDict, small: bool
) -> dict[str, Any]:
  """Returns an experiment's settings, or those at the sizes of `smoke`."""
  if small:
    least = smoke.get_config()
    config.source.update(least.source)
    config.data.update(least.data)
    config.model.transformer.update(least.model.transformer)
    if config.memory.kind == least.memory.kind:
      config.memory.update(least.memory)
      config.rollout_memory.update(least.rollout_memory)
    config.sampler.update(least.sampler)
  return config.to_dict()


def main(_) -> dict[str, float]:
  """Measures the rows that are given and returns their medians."""
  known = measures(_SMALL.value)
  for name in _ROWS.value:
    if name not in known:
      raise ValueError(f'unknown row {name!r}; have {", ".join(known)}')
  measured: Rows = {}
  print(f'{"":44} {"median":>12} {"quartiles":>23}')
  for name in _ROWS.value:
    found = known[name](_REPEATS.value, _SEED.value)
    for row, value in found.items():
      quartiles = f'{value.low:.4g} - {value.high:.4g}'
      print(f'{row:44} {value.median:12.4g} {quartiles:>23}', flush=True)
    measured |= found
  if _OUTPUT.value:
    _write(pathlib.Path(_OUTPUT.value), measured)
  return {name: value.median for name, value in measured.items()}


def _write(path: pathlib.Path, measured: Rows) -> None:
  """Writes the rows, and the machine that they were measured on."""
  machine = {
    'device': jax.devices()[0].device_kind,
    'devices': jax.device_count(),
    'cores': os.cpu_count(),
    'processor': platform.machine(),
    'jax': jax.__version__,
  }
  content = {k: dataclasses.asdict(v) for k, v in measured.items()}
  text = json.dumps({'machine': machine, 'rows': content}, indent=1)
  write_text(path, text + '\n')


if __name__ == '__main__':
  run_program(main)
