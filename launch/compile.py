"""Compiles an experiment for TPUs that need not be here, and counts its costs.

  python -m launch.compile --config=experiments/mirage_s.py
    --topology=v5p:2x2x1 [--output=DIR]

It runs the TPUs' own compiler (`pip install -e '.[tpu]'`). For each topology:
training step, sampling step, and a write and a read of the memory, with bytes
on a device, operations, and bytes sent. `--topology=here` takes the devices of
this machine.

Times are the largest of the times of products, main memory and links at their
peaks (mirage_jax/profiling/devices.py). No program reaches these; they compare
experiments, and sizes of a slice.
"""

import math
import pathlib
from collections.abc import Sequence
from typing import Any

import jax
from absl import flags
from ml_collections import config_flags

from launch.program import run_program
from mirage_jax import trees
from mirage_jax.profiling import costs, lowering, tables
from mirage_jax.profiling.devices import Chip, find_devices
from mirage_jax.profiling.tables import Figures

_CONFIG = config_flags.DEFINE_config_file(
  'config', None, 'The experiment, e.g. experiments/mirage_b.py.'
)
_TOPOLOGY = flags.DEFINE_list(
  'topology',
  ['v5p:2x2x1'],
  'CHIP:SIZE of each slice of TPUs, e.g. v5p:4x4x4, v5e:4x4, v6e:16x16; or '
  '`here`, the devices of this machine.',
)
_PROGRAMS = flags.DEFINE_list(
  'programs', list(lowering.NAMES), 'Programs to compile.'
)
_EXAMPLES = flags.DEFINE_float(
  'examples_per_device',
  1.0,
  'Batch size over number of devices: the same for every topology, so that '
  'their comparison is of weak scaling.',
  lower_bound=0.0,
)
_OUTPUT = flags.DEFINE_string(
  'output', None, 'Folder for compile.json and compile.md, if any.'
)


def main(_) -> dict[str, Any]:
  """Compiles the programs of all topologies; returns their bounds."""
  if _CONFIG.value is None:
    raise ValueError('--config is missing; see --help')
  for name in _PROGRAMS.value:
    if name not in lowering.NAMES:
      raise ValueError(
        f'unknown program {name!r}; have {", ".join(lowering.NAMES)}'
      )
  figures: list[Figures] = []
  print('\n'.join(tables.head()), flush=True)
  for topology in _TOPOLOGY.value:
    devices, chip = find_devices(topology)
    config = _CONFIG.value.copy_and_resolve_references()
    batch = round(len(devices) * _EXAMPLES.value)
    if batch < 1:
      raise ValueError(
        f'{_EXAMPLES.value} examples on each of {len(devices)} devices are no '
        'batch; give --examples_per_device more'
      )
    config.data.batch_size = batch
    for program in lowering.make_programs(config.to_dict(), devices):
      if program.name in _PROGRAMS.value:
        figures.append(measure(program, topology, devices, chip))
        print(tables.row(figures[-1]), flush=True)
        if _OUTPUT.value:  # saved at once: each took minutes
          tables.save(pathlib.Path(_OUTPUT.value), figures)
  scaling = tables.weak_scaling(figures)
  for line in tables.tables(figures, scaling):
    print(line)
  return {f'{f.topology}/{f.program}': f.bound for f in figures} | {
    f'scaling/{name}': value for name, value in scaling.items()
  }


def measure(
  program: lowering.Program,
  topology: str,
  devices: Sequence[jax.Device],
  chip: Chip | None,
) -> Figures:
  """Compiles one program and counts its costs."""
  executable = program.lower().compile()
  cost = costs.count(executable.as_text() or '')
  memory: Any = executable.memory_analysis()
  xla = executable.cost_analysis() or {}
  held = {kind: on_device(tree) for kind, tree in program.arguments.items()}
  seconds = {}
  if chip is not None:
    seconds = {
      'products': cost.flops / chip.flops,
      'memory': cost.bytes / chip.bandwidth,
      'links': sum(cost.collectives.values()) / chip.links,
    }
  return Figures(
    topology=topology,
    program=program.name,
    devices=len(devices),
    parameters=trees.count_parameters(program.arguments['parameters']),
    bytes={
      **held,
      'results': memory.output_size_in_bytes - memory.alias_size_in_bytes,
      'between': memory.temp_size_in_bytes,
      'code': memory.generated_code_size_in_bytes,
    },
    memory=chip.memory if chip else 0.0,
    flops=cost.flops,
    counted=program.flops / len(devices),
    moved=cost.bytes,
    asked=program.asked / len(devices),
    sent=dict(cost.collectives),
    compiler={
      name: float(xla[name])
      for name in ('flops', 'bytes accessed', 'optimal_seconds')
      if xla.get(name, -1) >= 0  # some compilers give times below 0
    },
    cycles=cost.cycles,
    seconds=seconds,
  )


def on_device(tree: Any) -> int:
  """Returns the bytes that each device holds of leaves with shardings."""
  return sum(
    math.prod(x.sharding.shard_shape(x.shape)) * x.dtype.itemsize
    for x in jax.tree.leaves(tree)
  )


if __name__ == '__main__':
  run_program(main)
