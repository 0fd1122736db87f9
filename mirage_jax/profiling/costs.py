"""Counts the costs of a compiled program in its HLO text, loops included.

XLA's own cost analysis counts the body of a loop once. Here every instruction
counts as often as it runs. Each pair of numbers that is multiplied counts two
operations, as for XLA; pairs with the padding or dilation of a convolution do
not count, as the chip leaves them out.
"""

import collections
import dataclasses
import math
import re
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
from jax.extend import core

from mirage_jax.profiling import hlo, kernels, traffic
from mirage_jax.profiling.hlo import Computation, Instruction, Shape

COLLECTIVES = (
  'all-gather',
  'all-reduce',
  'all-to-all',
  'collective-permute',
  'reduce-scatter',
)
# A fusion of an all-reduce and the part of it that a device keeps.
SCATTERED = 'all-reduce-scatter'
_CYCLES = re.compile(r'"estimated_cycles":"(\d+)"')


@dataclasses.dataclass(frozen=True)
class Costs:
  """Costs of a program on one device.

  Attributes:
    flops: of products of matrices.
    bytes: moved to and from the main memory, tiles padded; arrays that stay on
      the chip (a memory space of its own in the text) do not count.
    cycles: the compiler's estimate, 0 if it gives none (only that for TPUs
      does); transfers between devices do not count.
    collectives: bytes that a device sends, by kind, if devices form a ring.
  """

  flops: float = 0.0
  bytes: float = 0.0
  cycles: float = 0.0
  collectives: Mapping[str, float] = dataclasses.field(default_factory=dict)

  def __add__(self, other: 'Costs') -> 'Costs':
    both = collections.Counter(self.collectives)
    both.update(other.collectives)
    return Costs(
      self.flops + other.flops,
      self.bytes + other.bytes,
      self.cycles + other.cycles,
      dict(both),
    )

  def __mul__(self, times: int) -> 'Costs':
    sent = {kind: times * size for kind, size in self.collectives.items()}
    return Costs(
      times * self.flops, times * self.bytes, times * self.cycles, sent
    )


def count(text: str) -> Costs:
  """Counts the costs of a compiled module.

  Args:
    text: `compiled.as_text()`.

  Raises:
    ValueError: text without an entry computation.
  """
  computations, entry = hlo.parse(text)
  done: dict[str, Costs] = {}
  fused, devices = hlo.fused(computations), hlo.num_devices(text)

  def of(name: str) -> Costs:
    if name not in done:
      body = computations[name]
      total = Costs()
      for instruction in body.values():
        own = _own(instruction, body, devices)
        if name.startswith(SCATTERED):
          own = _scattered(own)
        total += own + called(instruction)
        if name not in fused:
          total += Costs(bytes=traffic.moved(instruction, body, computations))
      done[name] = total
    return done[name]

  def called(instruction: Instruction) -> Costs:
    if instruction.opcode == 'while':
      condition, body = hlo.loop(instruction)
      times = hlo.trips(instruction, computations[condition])
      return (of(body) + of(condition)) * times
    if choices := hlo.branches(instruction):
      return max(map(of, choices), key=lambda cost: (cost.flops, cost.bytes))
    if instruction.opcode in ('fusion', 'call', 'async-start'):
      return sum(map(of, hlo.called(instruction)), Costs())
    return Costs()

  return of(entry)


def _own(instruction: Instruction, body: Computation, devices: int) -> Costs:
  """Returns the costs of one instruction, without the computations it calls."""
  kind = instruction.opcode.removesuffix('-start')
  sent = {}
  if kind in COLLECTIVES:
    sent = {kind: _sent(kind, instruction, body, devices)}
  flops = 0.0
  if kind in ('dot', 'convolution'):
    count = {'dot': _dot, 'convolution': _convolution}[kind]
    operands = [body[name].shapes[0] for name in instruction.operands]
    flops = count(instruction, *operands)
  if kind == 'custom-call' and '"tpu_custom_call"' in instruction.rest:
    flops = kernels.flops(instruction, body)
  cycles = _CYCLES.search(instruction.rest)
  cycles = float(cycles[1]) if cycles else 0.0
  return Costs(flops, 0.0, cycles, sent)


def _scattered(own: Costs) -> Costs:
  """Halves the bytes of an all-reduce of which a device keeps only a part."""
  sent = sum(own.collectives.values()) / 2
  collectives = {'reduce-scatter': sent} if sent else {}
  return dataclasses.replace(own, collectives=collectives)


def _sent(
  kind: str, instruction: Instruction, body: Computation, devices: int
) -> float:
  """Returns bytes that a device sends to the next one in a ring of n."""
  n = hlo.group_size(instruction.rest, devices)
  size = sum(shape.bytes for shape in instruction.shapes)
  if instruction.opcode.endswith('-start') and kind != 'all-reduce':
    # The operands are listed beside the result.
    for name in instruction.operands:
      size -= sum(shape.bytes for shape in body[name].shapes)
  return {
    'all-gather': size * (n - 1) / n,  # of the result
    'all-reduce': 2 * size * (n - 1) / n,
    'all-to-all': size * (n - 1) / n,
    'collective-permute': size,
    'reduce-scatter': size * (n - 1),  # of the result, a part
  }[kind]


def _dot(instruction: Instruction, left: Shape, right: Shape) -> float:
  del right
  found = re.search(r'lhs_contracting_dims=\{([\d,]*)\}', instruction.rest)
  axes = [int(n) for n in found[1].split(',') if n] if found else []
  inner = math.prod(left.dims[axis] for axis in axes)
  return 2.0 * math.prod(instruction.shapes[0].dims) * inner


def _convolution(instruction: Instruction, left: Shape, right: Shape) -> float:
  (labels,) = re.findall(r'dim_labels=(\w+)_(\w+)->(\w+)', instruction.rest)
  (out,) = instruction.shapes
  sizes = {
    key: dict(zip(axes, shape.dims, strict=True))
    for key, axes, shape in zip('lro', labels, (left, right, out), strict=True)
  }
  pairs = math.prod(
    _pairs(sizes, axis, instruction.rest)
    for axis in sizes['r']
    if axis.isdigit()
  )
  features = sizes['r']['i'] * sizes['o']['f']
  return 2.0 * pairs * sizes['o']['b'] * features


def _pairs(sizes: dict[str, dict[str, int]], axis: str, rest: str) -> int:
  """Counts pairs of output and window places that meet an input, on an axis."""
  window = re.search(r'window=\{([^}]*)\}', rest)
  fields = dict(re.findall(r'(\w+)=([\dx_\-]+)', window[1] if window else ''))

  def field(name: str, default: str) -> str:
    return fields[name].split('x')[int(axis)] if name in fields else default

  low = int(field('pad', '0_0').rpartition('_')[0])
  apart, spread = int(field('lhs_dilate', '1')), int(field('rhs_dilate', '1'))
  extent = (sizes['l'][axis] - 1) * apart + 1
  first = np.arange(sizes['o'][axis]) * int(field('stride', '1')) - low
  count = 0
  for place in range(sizes['r'][axis]):
    at = first + place * spread
    count += int(((at >= 0) & (at < extent) & (at % apart == 0)).sum())
  return count


def lookup_bytes(function: Any, *arguments: Any) -> float:
  """Counts the bytes that lookups ask for, in whatever layout.

  Rows that are taken count once, rows that change twice.

  Args:
    function: is traced, not run. Loops count as often as they go round, so it
      must not have any whose end depends on values.
    *arguments: arrays, or shapes.
  """
  return _lookups_of(jax.make_jaxpr(function)(*arguments).jaxpr)


def _lookups_of(jaxpr: core.Jaxpr) -> float:
  total = 0.0
  for equation in jaxpr.eqns:
    name, times = equation.primitive.name, 1
    if name == 'gather':
      total += _bytes_of(equation.outvars[0])
    elif name.startswith('scatter'):
      total += 2 * _bytes_of(equation.invars[2])
    elif name == 'scan':
      times = equation.params['length']
    inner = [
      _lookups_of(body) for body in core.jaxprs_in_params(equation.params)
    ]
    total += times * (max(inner, default=0.0) if name == 'cond' else sum(inner))
  return total


def _bytes_of(variable: Any) -> float:
  return float(math.prod(variable.aval.shape) * variable.aval.dtype.itemsize)
