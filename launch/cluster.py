"""The processes that train together, and how they find each other.

One process a host, all of them running the same command. Where they meet comes
from the flags, or else from what started the job:

- Azure ML and torchrun: MASTER_ADDR, MASTER_PORT, WORLD_SIZE, RANK;
- SLURM: SLURM_NTASKS and its like, one task a host;
- slices of TPUs, also under GKE and XPK: TPU_WORKER_HOSTNAMES and its like.
"""

import dataclasses
import os
from collections.abc import Mapping

import jax
from absl import flags

_COORDINATOR = flags.DEFINE_string(
  'coordinator',
  None,
  'HOST:PORT where the processes of a run meet; not needed where Azure ML, '
  'SLURM or a TPU slice says it.',
)
_PROCESSES = flags.DEFINE_integer(
  'processes', None, 'How many processes the run has; with --coordinator.'
)
_PROCESS = flags.DEFINE_integer(
  'process', None, 'Which of them this is, from 0; with --coordinator.'
)

_HEARTBEAT_S = flags.DEFINE_integer(
  'heartbeat_s',
  60,
  'A process without a sign of life for so many seconds is taken for dead, and '
  'ends the others.',
  lower_bound=2,
)

MEETING_S = 600  # hosts of one job do not start at the same time


@dataclasses.dataclass(frozen=True)
class Coordinates:
  """Where the processes of a run meet.

  Attributes:
    address: `HOST:PORT` of process 0; None lets JAX ask SLURM or the TPUs.
    processes: how many there are; None as above.
    process: which of them this is; None as above.
  """

  address: str | None = None
  processes: int | None = None
  process: int | None = None

  def __post_init__(self):
    given = (self.address, self.processes, self.process)
    if given == (None, None, None):
      return
    if (
      None in given
      or ':' not in str(self.address)
      or not 0 <= int(str(self.process)) < int(str(self.processes))
    ):
      raise ValueError(
        f'coordinator {self.address}, processes {self.processes}, process '
        f'{self.process}; expected HOST:PORT, their number, and which one of '
        'them this is, from 0'
      )


def coordinates(environment: Mapping[str, str]) -> Coordinates | None:
  """Where the launcher of the job says that its processes meet.

  Args:
    environment: variables by name.

  Returns:
    None for a job of one process.

  Raises:
    ValueError: variables that make no sense.
  """
  if int(environment.get('WORLD_SIZE', 1)) > 1:
    missing = [
      name
      for name in ('MASTER_ADDR', 'MASTER_PORT', 'RANK')
      if name not in environment
    ]
    if missing:
      raise ValueError(
        f'WORLD_SIZE is {environment["WORLD_SIZE"]} but {", ".join(missing)} '
        'is not set; unset it, or set all four'
      )
    return Coordinates(
      f'{environment["MASTER_ADDR"]}:{environment["MASTER_PORT"]}',
      int(environment['WORLD_SIZE']),
      int(environment['RANK']),
    )
  many = (
    int(environment.get('SLURM_NTASKS', 1)) > 1,
    ',' in environment.get('TPU_WORKER_HOSTNAMES', ''),
    int(environment.get('MEGASCALE_NUM_SLICES', 1)) > 1,
  )
  return Coordinates() if any(many) else None


def connect() -> None:
  """Joins the other processes of the run, if there are any.

  A process that dies, or gives no sign of life for `--heartbeat_s`, ends the
  others.

  Raises:
    ValueError: flags or variables that make no sense.
  """
  given = (_COORDINATOR.value, _PROCESSES.value, _PROCESS.value)
  if given == (None, None, None):
    where = coordinates(os.environ)
  else:
    where = Coordinates(*given)
  if where is None:
    return
  jax.config.update('jax_cpu_collectives_implementation', 'gloo')
  try:
    jax.distributed.initialize(
      where.address,
      where.processes,
      where.process,
      initialization_timeout=MEETING_S,
      heartbeat_timeout_seconds=_HEARTBEAT_S.value,
    )
  except RuntimeError as error:
    raise ValueError(
      f'cannot meet the other processes at {where.address or "the launcher"} '
      f'({error}); check the address, and that all of them were started'
    ) from error
