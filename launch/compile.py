"""Compiles an experiment for TPUs that need not be here: what does it cost?

  python -m launch.compile --config=experiments/mirage_s.py
    --topology=v5p:2x2x1 [--output=DIR]

The real compiler of the TPUs does it (`pip install -e '.[tpu]'`). For each
topology: training step, sampling step, and a write and a read of the memory,
with bytes on a device, operations, and what is sent. `--topology=here` takes
the devices that are here.

Times are the larger of what products, main memory and links need at their peaks
(launch/chips.py), which no program reaches; they are for comparing one
experiment with another, and one size of a pod with another.
"""

import dataclasses
import json
import math
import os
import pathlib
from collections.abc import Sequence
from typing import Any

import jax
from absl import flags
from ml_collections import config_flags

from launch import costs, programs
from launch.chips import CHIPS, Chip
from launch.errors import run_program
from mirage_jax import trees
from mirage_jax.training.workdirs import write_text

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
  'programs', list(programs.NAMES), 'What to compile.'
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

SPARE = 0.1  # share of the memory that should stay free
HEADER = (
  'topology',
  'program',
  'M parameters',
  'GB/device',
  'free',
  'TFLOP/device',
  'counted',
  'GB moved',
  'GB asked',
  'GB sent',
  'ms products',
  'ms memory',
  'ms links',
  'bound MFU',
  'Mcycles',
)


@dataclasses.dataclass(frozen=True)
class Figures:
  """What compiling one program for one topology told.

  Attributes:
    topology: as asked for.
    program: its name.
    devices: how many.
    parameters: how many numbers, over all devices.
    bytes: on a device by kind: what it is given (parameters, ..., whether or
      not all of it is used), results that take new space, what is needed in
      between, and code.
    memory: of the device, bytes; 0 where unknown.
    flops: on a device, of matrix products, loops counted.
    counted: the same, counted by hand; 0 for a program without any.
    moved: bytes to and from a device's memory, loops counted.
    asked: of these, what lookups ask for; 0 where that is not counted.
    sent: bytes that a device sends, by kind of collective.
    compiler: XLA's own figures, which count the body of a loop once.
    cycles: the compiler's estimate of what runs on the device, 0 if it gives
      none.
    seconds: by what would take them at its peak.
  """

  topology: str
  program: str
  devices: int
  parameters: int
  bytes: dict[str, int]
  memory: float
  flops: float
  counted: float
  moved: float
  asked: float
  sent: dict[str, float]
  compiler: dict[str, float]
  cycles: float
  seconds: dict[str, float]

  @property
  def total(self) -> int:
    """Bytes on a device."""
    return sum(self.bytes.values())

  @property
  def bound(self) -> float:
    """Seconds that no schedule can beat; 0 where the chip is unknown."""
    return max(self._work, self.seconds.get('links', 0.0))

  @property
  def apart(self) -> float:
    """The same if nothing is sent while the device works."""
    return self._work + self.seconds.get('links', 0.0)

  @property
  def _work(self) -> float:
    return max(self.seconds.get(x, 0.0) for x in ('products', 'memory'))

  @property
  def utilisation(self) -> float:
    """Share of the peak that the products have if the bound is reached."""
    return self.seconds.get('products', 0.0) / self.bound if self.bound else 0.0


def main(_) -> dict[str, Any]:
  """Compiles what the flags say and returns the figures."""
  if _CONFIG.value is None:
    raise ValueError('--config is missing; see --help')
  for name in _PROGRAMS.value:
    if name not in programs.NAMES:
      raise ValueError(
        f'unknown program {name!r}; have {", ".join(programs.NAMES)}'
      )
  figures: list[Figures] = []
  print('| ' + ' | '.join(HEADER) + ' |\n' + '|---' * len(HEADER) + '|')
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
    for program in programs.make_programs(config, devices):
      if program.name in _PROGRAMS.value:
        figures.append(measure(program, topology, devices, chip))
        print(row(figures[-1]), flush=True)
  scaling = weak_scaling(figures)
  for line in kinds_tables(figures) + scaling_table(scaling):
    print(line)
  if _OUTPUT.value:
    save(pathlib.Path(_OUTPUT.value), figures, scaling)
  return {f'{f.topology}/{f.program}': f.bound for f in figures} | {
    f'scaling/{name}': value for name, value in scaling.items()
  }


def find_devices(topology: str) -> tuple[Sequence[jax.Device], Chip | None]:
  """The devices of a slice of TPUs, and what each of them can do.

  Raises:
    ValueError: an unknown chip or size; GPUs that are not here; the TPUs'
      compiler is not installed.
  """
  if topology == 'here':
    devices = jax.devices()
    kinds = {chip.kind: chip for chip in CHIPS.values()}
    return devices, kinds.get(devices[0].device_kind)
  name, _, size = topology.partition(':')
  tpus = [name for name, chip in CHIPS.items() if chip.kind.startswith('TPU')]
  if name in CHIPS and name not in tpus:
    raise ValueError(
      f'topology {topology!r} is of GPUs, for which only a machine that has '
      'them compiles; expected a slice of TPUs, or give --topology=here there'
    )
  if name not in tpus or not size:
    raise ValueError(
      f'unknown topology {topology!r}; expected `here`, or one of '
      f'{", ".join(tpus)} and a size, as in v5p:4x4x4'
    )
  os.environ.setdefault('TPU_SKIP_MDS_QUERY', '1')
  # Nothing runs on a TPU, so others may compile at the same time.
  os.environ.setdefault('ALLOW_MULTIPLE_LIBTPU_LOAD', '1')
  from jax.experimental import topologies

  try:
    described = topologies.get_topology_desc(
      topology_name=topology, platform='tpu'
    )
  except Exception as error:
    raise ValueError(
      f'cannot describe {topology} ({str(error).splitlines()[0]}); the '
      "compiler comes with pip install -e '.[tpu]', sizes are those that "
      'Google offers'
    ) from error
  return described.devices, CHIPS[name]


def measure(
  program: programs.Program,
  topology: str,
  devices: Sequence[jax.Device],
  chip: Chip | None,
) -> Figures:
  """Compiles one program and reads its costs."""
  compiled = program.lower().compile()
  cost = costs.count(compiled.as_text() or '')
  memory: Any = compiled.memory_analysis()
  xla = compiled.cost_analysis() or {}
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
  """Bytes that each device holds of leaves with shardings."""
  return sum(
    math.prod(x.sharding.shard_shape(x.shape)) * x.dtype.itemsize
    for x in jax.tree.leaves(tree)
  )


def row(f: Figures) -> str:
  """A line of the table."""
  ms = {name: 1e3 * value for name, value in f.seconds.items()}
  cells = (
    f.topology,
    f.program,
    f'{f.parameters / 1e6:.1f}',
    f'{f.total / 1e9:.2f}',
    free(f),
    f'{f.flops / 1e12:.3f}',
    f'{f.counted / f.flops:.1%}' if f.counted else '',
    f'{f.moved / 1e9:.2f}',
    f'{f.asked / 1e9:.3f} (x {f.moved / f.asked:.1f})' if f.asked else '',
    f'{sum(f.sent.values()) / 1e9:.2f}',
    *(f'{ms.get(x, 0):.2f}' for x in ('products', 'memory', 'links')),
    f'{f.utilisation:.0%}',
    f'{f.cycles / 1e6:.2f}',
  )
  return '| ' + ' | '.join(cells) + ' |'


def free(f: Figures) -> str:
  """The share of a device's memory that stays free; marked if too little."""
  if not f.memory:
    return ''
  share = 1 - f.total / f.memory
  return f'{share:.0%}' + (' (too little)' if share < SPARE else '')


def kinds_tables(figures: Sequence[Figures]) -> list[str]:
  """What fills a device, and what it sends, by kind, as Markdown."""
  return kinds_table('GB/device', [f.bytes for f in figures], figures) + (
    kinds_table('GB sent', [f.sent for f in figures], figures)
  )


def kinds_table(
  title: str, amounts: Sequence[dict[str, Any]], figures: Sequence[Figures]
) -> list[str]:
  """A column for each kind of bytes, a row for each program."""
  kinds = list(dict.fromkeys(kind for each in amounts for kind in each))
  if not kinds:
    return []
  lines = ['', f'| {title} | ' + ' | '.join(kinds) + ' |']
  lines.append('|---' * (len(kinds) + 1) + '|')
  for f, each in zip(figures, amounts, strict=True):
    cells = [f'{each[k] / 1e9:.3f}' if k in each else '' for k in kinds]
    lines.append(f'| {f.topology} {f.program} | ' + ' | '.join(cells) + ' |')
  return lines


def weak_scaling(figures: Sequence[Figures]) -> dict[str, float]:
  """Time on the smallest slice over time on each, for every program.

  Every device has as many examples on all of them: 1 is perfect. Once with
  what is sent hidden behind the work, and once (`, apart`) with none of it.
  """
  scaling = {}
  for name in dict.fromkeys(f.program for f in figures):
    same = [f for f in figures if f.program == name and f.bound]
    if len(same) > 1:
      first = min(same, key=lambda f: f.devices)
      for f in same:
        scaling[f'{name}@{f.topology}'] = first.bound / f.bound
        scaling[f'{name}@{f.topology}, apart'] = first.apart / f.apart
  return scaling


def scaling_table(scaling: dict[str, float]) -> list[str]:
  """Weak scaling as Markdown."""
  if not scaling:
    return []
  rows = [
    f'| {name} | {value:.1%} | {scaling[f"{name}, apart"]:.1%} |'
    for name, value in scaling.items()
    if not name.endswith(', apart')
  ]
  head = '| weak scaling | sent while working | sent apart |'
  return ['', head, '|---|---|---|', *rows]


def save(
  folder: pathlib.Path,
  figures: Sequence[Figures],
  scaling: dict[str, float],
) -> None:
  """Writes `compile.json` and `compile.md`."""
  table = ['| ' + ' | '.join(HEADER) + ' |', '|---' * len(HEADER) + '|']
  table += [row(f) for f in figures]
  table += kinds_tables(figures) + scaling_table(scaling)
  write_text(folder / 'compile.md', '\n'.join(table) + '\n')
  rows = [dataclasses.asdict(f) for f in figures]
  found = {'programs': rows, 'weak_scaling': scaling}
  write_text(folder / 'compile.json', json.dumps(found, indent=2) + '\n')


if __name__ == '__main__':
  run_program(main)
