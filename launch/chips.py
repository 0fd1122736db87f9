"""What accelerators can do: figures of their makers.

TPUs: cloud.google.com/tpu/docs/v5e, /v5p, /v6e ("System architecture" tables);
links are the sum of a chip's inter-chip interconnect, half of it each way.
H100: NVIDIA H100 Tensor Core GPU datasheet (SXM, without sparsity).
"""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Chip:
  """One device.

  Attributes:
    kind: what JAX calls it (`device_kind`).
    flops: products in bfloat16, a second.
    memory: bytes of its main memory.
    bandwidth: bytes a second to and from it.
    links: bytes a second to its neighbours, one way, all links together.
    clock: cycles a second, to turn a compiler's cycles into seconds.
  """

  kind: str
  flops: float
  memory: float
  bandwidth: float
  links: float
  clock: float


GB, GIB = 1e9, 2**30
CHIPS = {
  'v5e': Chip('TPU v5 lite', 197e12, 16 * GIB, 819 * GB, 100 * GB, 1.5e9),
  'v5p': Chip('TPU v5', 459e12, 95 * GIB, 2765 * GB, 300 * GB, 1.75e9),
  'v6e': Chip('TPU v6 lite', 918e12, 32 * GIB, 1640 * GB, 224 * GB, 1.75e9),
  'h100': Chip('NVIDIA H100', 989e12, 80e9, 3350 * GB, 450 * GB, 1.98e9),
}
