"""What accelerators can do: figures of their makers.

TPUs: docs.cloud.google.com/tpu/docs/v5e, /v5p-training, /v6e, the tables under
"System architecture"; links are half of the "bidirectional inter-chip
interconnect bandwidth". H100: NVIDIA's datasheet (SXM, without sparsity).
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
  """

  kind: str
  flops: float
  memory: float
  bandwidth: float
  links: float


GB, GIB = 1e9, 2.0**30
CHIPS = {
  'v5e': Chip('TPU v5 lite', 197e12, 16 * GIB, 819 * GB, 200 * GB),
  'v5p': Chip('TPU v5', 459e12, 95 * GIB, 2765 * GB, 600 * GB),
  'v6e': Chip('TPU v6 lite', 918e12, 32 * GIB, 1638 * GB, 400 * GB),
  'h100': Chip('NVIDIA H100 80GB HBM3', 989e12, 80 * GB, 3350 * GB, 450 * GB),
}
