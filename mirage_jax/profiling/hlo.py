"""Parses the text of compiled programs (HLO) into instructions."""

import dataclasses
import math
import re
from collections.abc import Iterator, Mapping, Sequence

BITS = {'pred': 8, 's4': 4, 'u4': 4, 'f8': 8}
_SHAPE = re.compile(
  r'\b([a-z]+\d*)(?:e\d+m\d+\w*)?\[([\d,]*)\]'
  r'(?:\{([\d,]*)(?::([^}]*))?\})?'
)
_HEAD = re.compile(r'^(ENTRY )?%?([\w.\-]+) \(.*\{$')
_CALLED = re.compile(r'(?:calls|to_apply)=%([\w.\-]+)')
_BRANCHES = re.compile(r'branch_computations=\{([^}]*)\}')
_CHOICE = re.compile(r'(?:true|false)_computation=%([\w.\-]+)')
_LOOP = re.compile(r'condition=%([\w.\-]+), body=%([\w.\-]+)')
_TRIPS = re.compile(r'"known_trip_count":\{"n":"(\d+)"\}')


@dataclasses.dataclass(frozen=True)
class Shape:
  """An array's type.

  Attributes:
    dtype: XLA's name.
    dims: sizes.
    order: axes, the one whose elements are neighbours in memory first.
    tile: sizes of a tile along the first axes of `order`, or empty.
    local: True if it lies on the chip.
  """

  dtype: str
  dims: tuple[int, ...]
  order: tuple[int, ...] = ()
  tile: tuple[int, ...] = ()
  local: bool = False

  @property
  def bytes(self) -> float:
    """Bytes without padding."""
    return math.prod(self.dims) * self._item

  @property
  def moved(self) -> float:
    """Bytes with padding, as moved to or from the main memory."""
    return 0.0 if self.local else self.padded(self.dims)

  def padded(self, dims: Sequence[int]) -> float:
    """Returns the bytes of the tiles that a part of these sizes touches."""
    sizes = [dims[axis] for axis in self.order]
    for i, tile in enumerate(reversed(self.tile[: len(sizes)])):
      sizes[i] = -(-sizes[i] // tile) * tile
    return math.prod(sizes or dims) * self._item

  @property
  def _item(self) -> float:
    bits = BITS.get(self.dtype) or int(re.sub(r'\D', '', self.dtype) or 0)
    return bits / 8


@dataclasses.dataclass(frozen=True)
class Instruction:
  """One line of a computation.

  Attributes:
    name: without its percent sign.
    shapes: of the result; several for a tuple.
    opcode: its operation.
    operands: names.
    literal: text between its brackets.
    rest: attributes, as text.
  """

  name: str
  shapes: tuple[Shape, ...]
  opcode: str
  operands: tuple[str, ...]
  literal: str
  rest: str


Computation = dict[str, Instruction]


def parse(text: str) -> tuple[dict[str, Computation], str]:
  """Parses a module: computations by name, and the name of its entry."""
  computations: dict[str, Computation] = {}
  entry, current = '', None
  for line in text.splitlines():
    head = _HEAD.match(line)
    if head:
      current = computations.setdefault(head[2], {})
      entry = head[2] if head[1] else entry
    elif line.startswith('}'):
      current = None
    elif current is not None and ' = ' in line:
      instruction = _instruction(line)
      current[instruction.name] = instruction
  if not entry:
    raise ValueError('this is no HLO module: it has no ENTRY computation')
  return computations, entry


def _instruction(line: str) -> Instruction:
  name, rest = line.strip().removeprefix('ROOT ').split(' = ', 1)
  end = _closing(rest) + 1 if rest.startswith('(') else rest.index(' ')
  types, rest = rest[:end], rest[end:].lstrip()
  opcode, rest = rest.split('(', 1)
  end = _closing('(' + rest) - 1
  inside, rest = rest[:end], rest[end + 1 :]
  operands = tuple(re.findall(r'%([\w.\-]+)', inside))
  name = name.lstrip('%')
  return Instruction(name, shapes(types), opcode, operands, inside, rest)


def _closing(text: str) -> int:
  """Finds the bracket that closes the one that `text` begins with."""
  depth = 0
  for i, letter in enumerate(text):
    depth += (letter == '(') - (letter == ')')
    if depth == 0:
      return i
  return len(text) - 1


def shapes(text: str) -> tuple[Shape, ...]:
  """Parses the types in a text, in order."""
  return tuple(_shape(*found) for found in _SHAPE.findall(text))


def _shape(dtype: str, dims: str, order: str, layout: str) -> Shape:
  tile = re.match(r'T\(([\d,]*)\)', layout)
  return Shape(
    dtype,
    integers(dims),
    integers(order),
    integers(tile[1]) if tile else (),
    bool(re.search(r'S\([1-9]', layout)),
  )


def integers(text: str) -> tuple[int, ...]:
  """Parses numbers between commas."""
  return tuple(int(n) for n in text.split(',') if n)


def fused(computations: Mapping[str, Computation]) -> set[str]:
  """Names the computations of fusions, those within fusions included."""
  names = [
    name
    for body in computations.values()
    for instruction in body.values()
    if instruction.opcode == 'fusion'
    for name in _CALLED.findall(instruction.rest)
  ]
  return set(names)


def trips(loop: Instruction, condition: Computation) -> int:
  """Returns the trips of a loop: as annotated, else the bound it counts to."""
  if known := _TRIPS.search(loop.rest):
    return int(known[1])
  return max(_bounds(condition), default=1)


def _bounds(condition: Computation) -> Iterator[int]:
  for instruction in condition.values():
    if instruction.opcode == 'constant':
      whole = instruction.shapes[0].dtype[0] in 'su'
      if whole and re.fullmatch(r'\d+', instruction.literal):
        yield int(instruction.literal)


def called(instruction: Instruction) -> list[str]:
  """Names the computations that a fusion or a call runs."""
  return _CALLED.findall(instruction.rest)


def branches(instruction: Instruction) -> list[str]:
  """Names the computations of which a conditional runs one."""
  if found := _BRANCHES.search(instruction.rest):
    return [name.strip(' %') for name in found[1].split(',')]
  return _CHOICE.findall(instruction.rest)


def loop(instruction: Instruction) -> tuple[str, str]:
  """Names the condition and the body of a `while`."""
  (names,) = _LOOP.findall(instruction.rest)
  return names


def group_size(rest: str, devices: int) -> int:
  """Returns the number of devices in one group of a collective."""
  if found := re.search(r'replica_groups=\{\{([\d,]*)\}', rest):
    return len(found[1].split(','))
  if found := re.search(r'replica_groups=\[(\d+),(\d+)\]<=', rest):
    return int(found[2])
  if found := re.search(
    r'replica_groups=mesh\[([^\]]*)\][^{]*\{([^}]*)\}', rest
  ):
    sizes = dict(re.findall(r"'(\w+)'=(\d+)", found[1]))
    return math.prod(
      int(sizes[axis]) for axis in re.findall(r"'(\w+)'", found[2])
    )
  return devices


def num_devices(text: str) -> int:
  """Returns the number of devices that a module is compiled for."""
  found = re.search(r'num_partitions=(\d+)', text[: text.find('\n')])
  return int(found[1]) if found else 1
