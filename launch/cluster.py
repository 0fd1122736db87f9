"""The processes that train together, and how they find each other.

One process a host, all of them running the same command. Where they meet comes
from the flags, or else from what started the job:

- Azure ML and torchrun: MASTER_ADDR, MASTER_PORT, WORLD_SIZE, RANK;
- SLURM: `srun` and its SLURM_NTASKS, one task a host or one a GPU;
- slices of TPUs under GKE and XPK: TPU_WORKER_HOSTNAMES and its like.

Plain TPU VMs are told nothing: there `--coordinator=auto` lets JAX ask Google's
metadata server. It is not asked unbidden, for fear of waiting where none is.
"""

import dataclasses
import os
from collections.abc import Mapping

import jax
from absl import flags

_COORDINATOR = flags.DEFINE_string(
  'coordinator',
  None,
  'HOST:PORT where the processes of a run meet, or `auto` on the hosts of a '
  'slice of TPU VMs; not needed where Azure ML, SLURM or Kubernetes says it.',
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
# From here on SLURM numbers what is no step of `srun`: shells of `salloc`.
_SHELLS = 0xFFFFFFF0


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
        'them this is, from 0, or `auto` alone'
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
    _slurm_tasks(environment) > 1,
    ',' in environment.get('TPU_WORKER_HOSTNAMES', ''),
    int(environment.get('MEGASCALE_NUM_SLICES', 1)) > 1,
  )
  return Coordinates() if any(many) else None


def own_devices(environment: Mapping[str, str]) -> list[int] | None:
  """Which of the GPUs that it sees a process takes.

  JAX gives each task of SLURM the one GPU with its number on the node. That is
  right for one task a GPU, unless SLURM has hidden the other GPUs already.

  Args:
    environment: variables by name.

  Returns:
    Their numbers, none of them for all; None leaves it to JAX.
  """
  tasks = _slurm_tasks(environment)
  if not tasks or environment.get('JAX_LOCAL_DEVICE_IDS'):
    return None
  one_a_node = tasks == int(environment.get('SLURM_STEP_NUM_NODES', 0))
  one_seen = environment.get('CUDA_VISIBLE_DEVICES', '').isdigit()
  return [] if one_a_node or one_seen else None


def _slurm_tasks(environment: Mapping[str, str]) -> int:
  """How many tasks `srun` started; 0 for what it did not start.

  Allocations and batch scripts tell SLURM_NTASKS too, of tasks to come.
  """
  if int(environment.get('SLURM_STEP_ID', _SHELLS)) >= _SHELLS:
    return 0
  return int(environment.get('SLURM_NTASKS', 1))


def meeting(
  given: tuple[str | None, int | None, int | None],
  environment: Mapping[str, str],
) -> Coordinates | None:
  """Where the processes meet, by the flags or else by the launcher.

  Args:
    given: `--coordinator`, `--processes` and `--process`.
    environment: variables by name.

  Returns:
    None for a job of one process.

  Raises:
    ValueError: flags or variables that make no sense.
  """
  if given == (None, None, None):
    return coordinates(environment)
  if given == ('auto', None, None):
    return Coordinates()
  return Coordinates(*given)


def connect() -> None:
  """Joins the other processes of the run, if there are any.

  A process that dies, or gives no sign of life for `--heartbeat_s`, ends the
  others.

  Raises:
    ValueError: flags or variables that make no sense; nobody to meet.
  """
  given = (_COORDINATOR.value, _PROCESSES.value, _PROCESS.value)
  where = meeting(given, os.environ)
  if where is None:
    _check_alone()
    return
  jax.config.update('jax_cpu_collectives_implementation', 'gloo')
  try:
    jax.distributed.initialize(
      where.address,
      where.processes,
      where.process,
      local_device_ids=own_devices(os.environ),
      initialization_timeout=MEETING_S,
      heartbeat_timeout_seconds=_HEARTBEAT_S.value,
    )
  except (RuntimeError, ValueError, OSError) as error:
    raise ValueError(
      'cannot meet the other processes at '
      f'{where.address or "the place that JAX finds"} ({error}); check that '
      'all of them were started, and the address, or give one by '
      '--coordinator=HOST:PORT --processes=N --process=I'
    ) from error


def _check_alone() -> None:
  """TPUs know the hosts of their slice, also those that have not met."""
  if jax.process_count() > 1:
    raise ValueError(
      f'this is one of {jax.process_count()} hosts of a slice of TPUs and has '
      'not met the others; give --coordinator=auto on all of them'
    )
