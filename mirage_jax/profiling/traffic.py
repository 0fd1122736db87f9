"""Counts bytes that instructions move to and from the main memory.

Tiles are padded, and arrays on the chip cost nothing. Arrays of which parts are
read (slices, gathers) or changed (updates, scatters) cost the tiles that these
parts touch.
"""

import math
import re
from collections.abc import Mapping

from mirage_jax.profiling import hlo, kernels
from mirage_jax.profiling.hlo import Computation, Instruction, Shape

# Move nothing: names, and instructions whose computations are counted.
FREE = (
  'after-all',
  'bitcast',
  'call',
  'conditional',
  'constant',
  'get-tuple-element',
  'iota',
  'optimization-barrier',
  'parameter',
  'partition-id',
  'replica-id',
  'tuple',
  'while',
)
PARTS = ('slice', 'dynamic-slice', 'gather')
IN_PLACE = ('dynamic-update-slice', 'scatter')


def moved(
  instruction: Instruction,
  body: Computation,
  computations: Mapping[str, Computation],
) -> float:
  """Counts bytes that one instruction reads and writes.

  Args:
    instruction: of `body`.
    body: a computation.
    computations: all of the module, by name.
  """
  kind = instruction.opcode
  if kind in FREE or kind.endswith('-done'):
    return 0.0
  if kind == 'copy-start':
    return _size(instruction.shapes[:2])
  if kind == 'fusion':
    return _of_fusion(instruction, body, computations)
  written = 0.0 if kind in IN_PLACE else _size(instruction.shapes)
  return written + _read(instruction, body)


def _size(shapes: tuple[Shape, ...]) -> float:
  return sum((shape.moved for shape in shapes), 0.0)


def _of_fusion(
  fusion: Instruction,
  body: Computation,
  computations: Mapping[str, Computation],
) -> float:
  """Counts bytes read of each operand of a fusion, and of its result."""
  total = 0.0 if _in_place(fusion, computations) else _size(fusion.shapes)
  for index, name in enumerate(fusion.operands):
    if not body[name].shapes[0].local:
      total += _used_by(fusion, index, computations)
  return total


def _in_place(
  instruction: Instruction, computations: Mapping[str, Computation]
) -> bool:
  """Returns True if the result is an operand that is changed in parts."""
  while instruction.opcode == 'fusion':
    (name,) = hlo.called(instruction)
    instruction = next(reversed(computations[name].values()))
  return instruction.opcode in IN_PLACE


def _used_by(
  fusion: Instruction, index: int, computations: Mapping[str, Computation]
) -> float:
  """Counts bytes that a fusion reads of one of its operands."""
  (name,) = hlo.called(fusion)
  inside = computations[name]
  for place in inside.values():
    if place.opcode == 'parameter' and int(place.literal) == index:
      return _used(place, inside, computations)
  return 0.0


def _used(
  place: Instruction,
  inside: Computation,
  computations: Mapping[str, Computation],
) -> float:
  """Counts bytes that the instructions of a fusion read of one value."""
  total = 0.0
  for user in inside.values():
    if place.name not in user.operands:
      continue
    if user.opcode == 'fusion':
      for index, name in enumerate(user.operands):
        if name == place.name:
          total += _used_by(user, index, computations)
      continue
    if user.operands[0] != place.name:
      return _size(place.shapes)
    if user.opcode in ('bitcast', 'reshape'):
      total += _used(user, inside, computations)
    elif user.opcode in PARTS:
      total += _touched(user, inside)
    elif user.opcode in IN_PLACE:
      total += _changed(user, inside)
    else:
      return _size(place.shapes)
  return total


def _read(instruction: Instruction, body: Computation) -> float:
  """Counts bytes that an instruction reads, and writes if in place."""
  kind = instruction.opcode
  sizes = [_size(body[name].shapes) for name in instruction.operands]
  if kind in PARTS:
    index = sizes[1] if kind == 'gather' else 0.0
    return _touched(instruction, body) + index
  if kind in IN_PLACE:
    return sum(sizes[1:]) + _changed(instruction, body)
  times = kernels.fetches(instruction, body)
  return sum(n * size for n, size in zip(times, sizes, strict=True))


def _changed(instruction: Instruction, body: Computation) -> float:
  """Counts bytes to and from the array that is changed in place."""
  table, *others = (body[name].shapes[0] for name in instruction.operands)
  if table.local:
    return 0.0
  if instruction.opcode == 'dynamic-update-slice':
    return table.padded(others[0].dims)
  found = re.search(r'inserted_window_dims=\{([\d,]*)\}', instruction.rest)
  single = hlo.integers(found[1]) if found else ()
  window = tuple(1 if i in single else n for i, n in enumerate(table.dims))
  rows = math.prod(others[1].dims) / math.prod(window)
  return 2 * rows * table.padded(window)  # tiles are read and written


def _touched(instruction: Instruction, body: Computation) -> float:
  """Counts bytes of the tiles that a slice or a gather touches."""
  if instruction.opcode != 'gather':
    return _size(instruction.shapes)
  table = body[instruction.operands[0]].shapes[0]
  if table.local:
    return 0.0
  found = re.search(r'slice_sizes=\{([\d,]*)\}', instruction.rest)
  sizes = hlo.integers(found[1]) if found else table.dims
  rows = math.prod(instruction.shapes[0].dims) / math.prod(sizes)
  return rows * table.padded(sizes)
