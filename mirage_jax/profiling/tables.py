"""Writes the costs of compiled programs as Markdown and JSON."""

import dataclasses
import json
import pathlib
from collections.abc import Sequence
from typing import Any

from mirage_jax.runs.workdirs import write_text

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
  """Costs of one program, compiled for one topology.

  Attributes:
    topology: name of the slice of TPUs, or `here`.
    program: its name.
    devices: their number.
    parameters: their number, over all devices.
    bytes: on a device by kind: arguments (parameters, ..., used or not),
      results that take new space, intermediate values (`between`), and code.
    memory: of the device, bytes; 0 if unknown.
    flops: on a device, of matrix products, loops included.
    counted: the same by formula; 0 for a program without a formula.
    moved: bytes to and from a device's memory, loops included.
    asked: bytes of these that lookups ask for; 0 if not counted.
    sent: bytes that a device sends, by kind of collective.
    compiler: XLA's own figures, which count the body of a loop once.
    cycles: the compiler's estimate on the device; 0 if it gives none.
    seconds: at the chip's peak, by limit: products, memory, links.
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
    """Lower bound of the seconds of a step; 0 if the chip is unknown."""
    return max(self._work, self.seconds.get('links', 0.0))

  @property
  def apart(self) -> float:
    """The same bound if nothing is sent while the device works."""
    return self._work + self.seconds.get('links', 0.0)

  @property
  def _work(self) -> float:
    return max(self.seconds.get(x, 0.0) for x in ('products', 'memory'))

  @property
  def utilisation(self) -> float:
    """Share of the peak FLOP/s at the bound."""
    return self.seconds.get('products', 0.0) / self.bound if self.bound else 0.0


def row(f: Figures) -> str:
  """Formats a line of the table."""
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
  """Formats the free share of a device's memory; marked if too little."""
  if not f.memory:
    return ''
  share = 1 - f.total / f.memory
  return f'{share:.0%}' + (' (too little)' if share < SPARE else '')


def kinds_tables(figures: Sequence[Figures]) -> list[str]:
  """Formats bytes on a device and bytes sent, by kind, as Markdown."""
  return kinds_table('GB/device', [f.bytes for f in figures], figures) + (
    kinds_table('GB sent', [f.sent for f in figures], figures)
  )


def kinds_table(
  title: str, amounts: Sequence[dict[str, Any]], figures: Sequence[Figures]
) -> list[str]:
  """Formats a table: a column for each kind of bytes, a row a program."""
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
  """Divides the time on the smallest slice by that on each, by program.

  Every device has the same number of examples, so 1 is perfect. Given twice:
  with transfers hidden behind the work, and (`, apart`) after it.
  """
  scaling = {}
  kind = lambda f: (f.program, f.topology.partition(':')[0])
  for name, chip in dict.fromkeys(map(kind, figures)):
    same = [f for f in figures if kind(f) == (name, chip) and f.bound]
    if len(same) > 1:
      first = min(same, key=lambda f: f.devices)
      for f in same:
        scaling[f'{name}@{f.topology}'] = first.bound / f.bound
        scaling[f'{name}@{f.topology}, apart'] = first.apart / f.apart
  return scaling


def scaling_table(scaling: dict[str, float]) -> list[str]:
  """Formats weak scaling as Markdown."""
  if not scaling:
    return []
  rows = [
    f'| {name} | {value:.1%} | {scaling[f"{name}, apart"]:.1%} |'
    for name, value in scaling.items()
    if not name.endswith(', apart')
  ]
  head = '| weak scaling | sent while working | sent apart |'
  return ['', head, '|---|---|---|', *rows]


def head() -> list[str]:
  """Formats the lines above the rows."""
  return ['| ' + ' | '.join(HEADER) + ' |', '|---' * len(HEADER) + '|']


def tables(figures: Sequence[Figures], scaling: dict[str, float]) -> list[str]:
  """Formats the tables below the rows."""
  return kinds_tables(figures) + scaling_table(scaling)


def save(folder: pathlib.Path, figures: Sequence[Figures]) -> None:
  """Writes `compile.json` and `compile.md`."""
  scaling = weak_scaling(figures)
  table = head() + [row(f) for f in figures] + tables(figures, scaling)
  write_text(folder / 'compile.md', '\n'.join(table) + '\n')
  rows = [dataclasses.asdict(f) for f in figures]
  found = {'programs': rows, 'weak_scaling': scaling}
  write_text(folder / 'compile.json', json.dumps(found, indent=2) + '\n')
