"""What compiling programs told, as tables."""

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
  """Time on the smallest slice over time on each, for programs and chips.

  Every device has as many examples on all of them: 1 is perfect. Once with
  what is sent hidden behind the work, and once (`, apart`) with none of it.
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


def head() -> list[str]:
  """The lines above the rows."""
  return ['| ' + ' | '.join(HEADER) + ' |', '|---' * len(HEADER) + '|']


def tables(figures: Sequence[Figures], scaling: dict[str, float]) -> list[str]:
  """What stands below the rows."""
  return kinds_tables(figures) + scaling_table(scaling)


def save(folder: pathlib.Path, figures: Sequence[Figures]) -> None:
  """Writes `compile.json` and `compile.md`."""
  scaling = weak_scaling(figures)
  table = head() + [row(f) for f in figures] + tables(figures, scaling)
  write_text(folder / 'compile.md', '\n'.join(table) + '\n')
  rows = [dataclasses.asdict(f) for f in figures]
  found = {'programs': rows, 'weak_scaling': scaling}
  write_text(folder / 'compile.json', json.dumps(found, indent=2) + '\n')
