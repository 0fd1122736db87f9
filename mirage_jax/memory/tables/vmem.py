"""Rows of a table, looked up and changed where they lie.

On TPUs a lookup in the main memory moves a whole tile of 4 KB, however narrow
the row. The kernel `vmem` therefore packs several rows into the 128 lanes of a
line, brings the table into the chip's vector memory once, and finds its rows
there. `plain` leaves it all to XLA, which is right on CPUs and GPUs.
"""

import dataclasses
import functools
import math
from collections.abc import Callable, Sequence

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import PartitionSpec

from mirage_jax.arrays import Array, Int

KERNELS = ('plain', 'vmem')
LANES = 128  # of a line
BLOCK = 4096  # rows that a step of the kernel goes through
LARGEST = 2**25  # bytes of a table that the vector memory takes


@flax.struct.dataclass
class Table:
  """A table `[e, c]`, as its kernel wants it; rows `e` and beyond are none.

  Attributes:
    lines: `[e, c]`, or `[n, 128]` with several rows in a line.
    rows: how many, e.
    columns: how many, c.
    dtype: of its numbers; truth values are whole numbers in lines.
    kernel: one of `KERNELS`.
  """

  lines: Array
  rows: int = flax.struct.field(pytree_node=False)
  columns: int = flax.struct.field(pytree_node=False)
  dtype: np.dtype = flax.struct.field(pytree_node=False)
  kernel: str = flax.struct.field(pytree_node=False)

  @property
  def width(self) -> int:
    """Lanes of a row: a power of two that divides a line."""
    return 2 ** math.ceil(math.log2(self.columns))

  def take(self, at: Int[Array, '*p']) -> Array:
    """The rows `at`, `[*p, c]`; zeros for none."""
    if self.kernel == 'plain':
      return jnp.asarray(self.lines).at[at].get(mode='fill', fill_value=0)
    found = _take(self.width, self.lines, _blocks(self, at.reshape(-1)))
    found = _unpack(found, self.width)[: at.size, : self.columns]
    return found.reshape(*at.shape, -1).astype(self.dtype)

  def add(self, at: Int[Array, 'k p'], values: Array) -> 'Table':
    """With each of `values` `[p, c]` added to its k rows."""
    if self.kernel == 'plain':
      lines = self.lines
      for row in at:
        lines = jnp.asarray(lines).at[row].add(values, mode='drop')
      return dataclasses.replace(self, lines=lines)
    values = jnp.tile(values, (len(at), 1))
    return self._changed(_add, at.reshape(-1), values)

  def put(self, at: Int[Array, ' p'], values: Array) -> 'Table':
    """With `values` `[p, c]` in place of rows; equal ones where rows repeat.

    Without gradients.
    """
    if self.kernel == 'plain':
      return dataclasses.replace(
        self, lines=jnp.asarray(self.lines).at[at].set(values, mode='drop')
      )
    return self._changed(_put, at, values)

  def _changed(self, change, at, values) -> 'Table':
    blocks = _blocks(self, at)
    packed = _pack(values.astype(self.lines.dtype), self.width, blocks.size)
    return dataclasses.replace(
      self, lines=change(self.width, self.lines, blocks, packed)
    )

  def unpack(self) -> Array:
    """All rows, `[e, c]`."""
    if self.kernel == 'plain':
      return self.lines
    found = _unpack(self.lines, self.width)[: self.rows, : self.columns]
    return found.astype(self.dtype)


def make_table(sums: Array, kernel: str = 'plain') -> Table:
  """A table of `[e, c]` float32; one that is too wide or large stays plain.

  Raises:
    ValueError: for an unknown kernel.
  """
  if kernel not in KERNELS:
    raise ValueError(f'unknown kernel {kernel!r}; have {", ".join(KERNELS)}')
  rows, columns = sums.shape
  table = Table(sums, rows, columns, sums.dtype, kernel)
  if table.width > LANES or 4 * rows * table.width > LARGEST:
    return dataclasses.replace(table, kernel='plain')
  if kernel == 'vmem':
    lines = sums.astype(jnp.int32) if sums.dtype == bool else sums
    table = dataclasses.replace(table, lines=_pack(lines, table.width, rows))
  return table


def make_taker(
  arrays: Sequence[Array], kernel: str
) -> Callable[[Int[Array, ' p']], list[Array]]:
  """A function of rows that gives those of arrays `[e]` or `[e, c]`.

  It gives zeros for none. The kernel takes rows of all arrays at once; whole
  numbers are below 2^24.
  """
  if kernel == 'plain':
    tables = [jnp.asarray(x) for x in arrays]
    return lambda at: [x.at[at].get(mode='fill', fill_value=0) for x in tables]
  flat = [x.reshape(len(x), -1).astype(jnp.float32) for x in arrays]
  table = make_table(jnp.concatenate(flat, axis=1), kernel)
  ends = np.cumsum([x.shape[1] for x in flat])[:-1]

  def take(at: Int[Array, ' p']) -> list[Array]:
    parts = jnp.split(table.take(at), ends, axis=1)
    return [
      part.reshape(-1, *x.shape[1:]).astype(x.dtype)
      for x, part in zip(arrays, parts, strict=True)
    ]

  return take


def _pack(values: Array, width: int, count: int) -> Array:
  """Lines `[n, 128]` of at least `count` rows, the last of them 0.

  Row r is part r // n of line r % n. With rows along the lanes of all that is
  made on the way, nothing is padded to tiles.
  """
  rows, columns = values.shape
  count += -count % BLOCK
  group = LANES // width
  turned = jnp.pad(values.T, ((0, width - columns), (0, count - rows)))
  turned = turned.reshape(width, group, -1).swapaxes(0, 1)
  return turned.reshape(LANES, -1).T


def _unpack(lines: Array, width: int) -> Array:
  """The rows `[r, width]` of lines `[n, 128]`."""
  turned = lines.T.reshape(LANES // width, width, -1).swapaxes(0, 1)
  return turned.reshape(width, -1).T


def _blocks(table: Table, at: Int[Array, ' p']) -> Int[Array, 'k s 128']:
  """Blocks of rows in the order of the lines of their values; -1 for none."""
  at = jnp.where((at >= 0) & (at < table.rows), at, -1).astype(jnp.int32)
  at = jnp.pad(at, (0, -len(at) % BLOCK), constant_values=-1)
  group = LANES // table.width
  at = at.reshape(group, -1, BLOCK // group).swapaxes(0, 1)
  return at.reshape(-1, BLOCK // LANES, LANES)


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _take(width, lines, at):
  return _call(_take_block, width, lines, at)


def _take_fwd(width, lines, at):
  return _take(width, lines, at), (at, lines.shape)


def _take_bwd(width, kept, cotangent):
  at, shape = kept
  zeros = jnp.zeros(shape, cotangent.dtype)
  return _call(_add_block, width, zeros, at, cotangent), None


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _add(width, lines, at, values):
  return _call(_add_block, width, lines, at, values)


def _add_fwd(width, lines, at, values):
  return _add(width, lines, at, values), at


def _add_bwd(width, at, cotangent):
  return cotangent, None, _call(_take_block, width, cotangent, at)


_take.defvjp(_take_fwd, _take_bwd)
_add.defvjp(_add_fwd, _add_bwd)


def _put(width, lines, at, values):
  return _call(_put_block, width, lines, at, values)


def _call(body, width: int, lines, at, values=None):
  """Runs `body` on blocks of rows, with all lines in the vector memory."""
  # Here, as Pallas takes a while to be imported, and few runs need it.
  from jax.experimental import pallas as pl
  from jax.experimental.pallas import tpu as pltpu

  per_block = BLOCK * width // LANES  # lines of the values of a block
  whole = pl.BlockSpec(lines.shape, lambda i: (0, 0))
  block = pl.BlockSpec((per_block, LANES), lambda i: (i, 0))
  rows = pl.BlockSpec(
    (None, BLOCK // LANES, LANES),
    lambda i: (i, 0, 0),
    memory_space=pltpu.SMEM,
  )
  shape = lines.shape
  if values is None:
    shape = (at.size * width // LANES, LANES)
  arguments = (at, lines) if values is None else (at, lines, values)
  call = pl.pallas_call(
    functools.partial(body, width),
    grid=at.shape[:1],
    in_specs=[rows, whole, block][: len(arguments)],
    out_specs=block if values is None else whole,
    out_shape=jax.ShapeDtypeStruct(shape, lines.dtype),
    input_output_aliases={} if values is None else {1: 0},
    compiler_params=pltpu.CompilerParams(vmem_limit_bytes=4 * LARGEST),
    name=body.__name__.strip('_'),
  )
  if jax.sharding.get_abstract_mesh().empty:
    return call(*arguments)
  # XLA does not divide a kernel; every device takes its examples, whose axis
  # `vmap` adds to these.
  spec = PartitionSpec()
  divided = jax.shard_map(
    call, in_specs=(spec,) * len(arguments), out_specs=spec, check_vma=False
  )
  return divided(*arguments)


def _take_block(width, at, lines, out):
  """Lines of the rows `at`."""
  from jax.experimental import pallas as pl

  group, parts = _parts(width)

  def one_line(j, carry):
    def one_row(k, line):
      here, part, wanted = _place(at, k * out.shape[0] + j, lines.shape[0])
      found = lines[pl.ds(here, 1), :]
      found = _turned(found, (k - part) % group * width)
      return jnp.where((parts == k) & wanted, found, line)

    line = jnp.zeros((1, LANES), lines.dtype)
    line = jax.lax.fori_loop(0, group, one_row, line, unroll=_unroll(group))
    out[pl.ds(j, 1), :] = line
    return carry

  jax.lax.fori_loop(0, out.shape[0], one_line, 0)


def _add_block(width, at, lines, values, out):
  """Lines with values added to the rows `at`."""
  _change_block(width, at, lines, values, out, lambda old, new: old + new)


def _put_block(width, at, lines, values, out):
  """Lines with values in place of the rows `at`."""
  _change_block(width, at, lines, values, out, lambda old, new: new)


def _change_block(width, at, lines, values, out, change):
  from jax.experimental import pallas as pl

  group, parts = _parts(width)

  @pl.when(pl.program_id(0) == 0)
  def _():
    out[...] = lines[...]

  def one_line(j, carry):
    line = values[pl.ds(j, 1), :]

    def one_row(k, carry):
      i = k * values.shape[0] + j
      here, part, wanted = _place(at, i, lines.shape[0])
      old = out[pl.ds(here, 1), :]
      new = change(old, _turned(line, (part - k) % group * width))
      out[pl.ds(here, 1), :] = jnp.where((parts == part) & wanted, new, old)
      return carry

    return jax.lax.fori_loop(0, group, one_row, carry, unroll=_unroll(group))

  jax.lax.fori_loop(0, values.shape[0], one_line, 0)


def _unroll(group: int) -> int:
  """Rows of a line that the kernel looks at one after the other."""
  return min(group, 16)


def _parts(width):
  """Lays rows out in a line: how many there are, and the row of each lane."""
  lanes = jax.lax.broadcasted_iota(jnp.int32, (1, LANES), 1)
  return LANES // width, lanes // width


def _place(at, i, lines: int):
  """Line and part of the i-th row of a block, and whether there is one."""
  row = at[i // LANES, i % LANES]
  known = jnp.maximum(row, 0)
  return known % lines, known // lines, row >= 0


def _turned(line, lanes):
  """A line turned to the right by so many lanes."""
  from jax.experimental.pallas import tpu as pltpu

  return pltpu.roll(line, lanes, 1)
