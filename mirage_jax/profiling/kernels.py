"""Counts operations and bytes of JAX's attention kernels for TPUs.

XLA's text does not contain them. Their grids run over blocks of one side,
queries or keys, and within these over blocks of the other. The other side is
fetched again for each outer block, unless it is one block, which stays on the
chip.
"""

import dataclasses
import math

from mirage_jax.nn.attention import block
from mirage_jax.profiling.hlo import Computation, Instruction


@dataclasses.dataclass(frozen=True)
class Kernel:
  """A kernel; its first operands are queries, keys and values.

  Attributes:
    products: matrix products for each pair of blocks.
    outer: operand of the outer loop, 0 (queries) or 1 (keys).
  """

  products: int
  outer: int


# Of queries and keys, of weights and values, and of their gradients.
KERNELS = {
  'flash_attention': Kernel(2, outer=0),
  'flash_mha_bwd_dkv': Kernel(4, outer=1),
  'flash_mha_bwd_dq': Kernel(3, outer=0),
}


def find(instruction: Instruction) -> Kernel | None:
  """Returns the kernel that an instruction calls, if in `KERNELS`."""
  if instruction.opcode != 'custom-call':
    return None
  found = (
    k for name, k in KERNELS.items() if instruction.name.startswith(name)
  )
  return next(found, None)


def flops(instruction: Instruction, body: Computation) -> float:
  """Counts the operations of a call; 0 for kernels not in `KERNELS`."""
  kernel = find(instruction)
  if kernel is None:
    return 0.0
  queries, keys = _sides(instruction, body)  # [b, h, q, k] and [b, h, s, k]
  return 2.0 * kernel.products * math.prod(queries) * keys[2]


def fetches(instruction: Instruction, body: Computation) -> list[int]:
  """Counts reads of each whole operand of a call from the main memory."""
  kernel = find(instruction)
  if kernel is None:
    return [1] * len(instruction.operands)
  lengths = [side[2] for side in _sides(instruction, body)]
  blocks = [length // block(length) for length in lengths]
  inner = 1 - kernel.outer
  again = blocks[kernel.outer] if blocks[inner] > 1 else 1
  # Keys and values are one side, queries and what comes of them the other.
  sides = [1 if i in (1, 2) else 0 for i in range(len(instruction.operands))]
  return [again if side == inner else 1 for side in sides]


def _sides(
  instruction: Instruction, body: Computation
) -> tuple[tuple[int, ...], tuple[int, ...]]:
  queries, keys = (body[x].shapes[0].dims for x in instruction.operands[:2])
  return queries, keys
