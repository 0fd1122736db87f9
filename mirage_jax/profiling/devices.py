"""Describes slices of TPUs, and the peak figures of their chips.

TPUs: docs.cloud.google.com/tpu/docs/v5e, /v5p-training, /v6e, the tables under
"System architecture"; links are half of the "bidirectional inter-chip
interconnect bandwidth". H100: NVIDIA's datasheet (SXM, without sparsity).
"""

import dataclasses
import os
from collections.abc import Sequence

import jax


@dataclasses.dataclass(frozen=True)
class Chip:
  """Peak figures of one device, by its vendor.

  Attributes:
    kind: JAX's name for it (`device_kind`).
    flops: operations of bfloat16 products per second.
    memory: bytes of its main memory.
    bandwidth: bytes per second to and from it.
    links: bytes per second to its neighbours, one way, all links together.
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


def find_devices(topology: str) -> tuple[Sequence[jax.Device], Chip | None]:
  """Returns the devices of a slice of TPUs, and their peak figures.

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
