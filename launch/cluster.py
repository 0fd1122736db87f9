"""Connects the processes of one training run.

Each host runs one process, all with the same command. Their meeting place comes
from the flags, or else from the launcher of the job:

- Azure ML and torchrun: MASTER_ADDR, MASTER_PORT, WORLD_SIZE, RANK;
- SLURM: `srun` and its SLURM_NTASKS, one task a host or one a GPU;
- slices of TPUs under GKE and XPK: TPU_WORKER_HOSTNAMES and its like.

Plain TPU VMs set no variables: there `--coordinator=auto` makes JAX query
Google's metadata server. Without that flag it is not queried: where there is no
such server, the query waits for it.
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
  'slice of TPU VMs; not needed under Azure ML, SLURM or Kubernetes.',
)
_PROCESSES = flags.DEFINE_integer(
  'processes', None, 'Processes of the run; with --coordinator.'
)
_PROCESS = flags.DEFINE_integer(
  'process', None, 'Number of this process, from 0; with --coordinator.'
)

_HEARTBEAT_S = flags.DEFINE_integer(
  'heartbeat_s',
  60,
  'A process without a heartbeat for so many seconds ends the others.',
  lower_bound=2,
)

MEETING_S = 600  # hosts of one job do not start at the same time
# SLURM's numbers of steps that `srun` did not start, as shells of `salloc`.
_SHELLS = 0xFFFFFFF0


@dataclasses.dataclass(frozen=True)
class Coordinates:
  """Meeting place of the processes of a run.

  Attributes:
    address: `HOST:PORT` of process 0; None: JAX finds it by SLURM or the TPUs.
    processes: their number; None as above.
    process: number of this one; None as above.
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
        f'{self.process}; expected HOST:PORT, their number, and the number '
        'of this one, from 0, or `auto` alone'
      )


def coordinates(environment: Mapping[str, str]) -> Coordinates | None:
  """Reads the meeting place from the variables of the job's launcher.

  Args:
    environment: variables by name.

  Returns:
    None for a job of one process.

  Raises:
    ValueError: variables are missing.
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
  """Chooses the GPUs of a process among those that it sees.

  JAX gives each task of SLURM the one GPU with its number on the node. This is
  correct for one task a GPU, unless SLURM has hidden the other GPUs already.

  Args:
    environment: variables by name.

  Returns:
    Their numbers, an empty list for all; None leaves the choice to JAX.
  """
  tasks = _slurm_tasks(environment)
  if not tasks or environment.get('JAX_LOCAL_DEVICE_IDS'):
    return None
  one_a_node = tasks == int(environment.get('SLURM_STEP_NUM_NODES', 0))
  one_seen = environment.get('CUDA_VISIBLE_DEVICES', '').isdigit()
  return [] if one_a_node or one_seen else None


def _slurm_tasks(environment: Mapping[str, str]) -> int:
  """Returns the number of tasks that `srun` started; 0 if it started none.

  Allocations and batch scripts set SLURM_NTASKS too, for tasks to come.
  """
  if int(environment.get('SLURM_STEP_ID', _SHELLS)) >= _SHELLS:
    return 0
  return int(environment.get('SLURM_NTASKS', 1))


def meeting(
  given: tuple[str | None, int | None, int | None],
  environment: Mapping[str, str],
) -> Coordinates | None:
  """Returns the meeting place by the flags, or else by the launcher.

  Args:
    given: `--coordinator`, `--processes` and `--process`.
    environment: variables by name.

  Returns:
    None for a job of one process.

  Raises:
    ValueError: flags or variables are missing or contradict each other.
  """
  if given == (None, None, None):
    return coordinates(environment)
  if given == ('auto', None, None):
    return Coordinates()
  return Coordinates(*given)


def connect() -> None:
  """Joins the other processes of the run, if there are any.

  A process that dies, or sends no heartbeat for `--heartbeat_s`, ends the
  others.

  Raises:
    ValueError: flags or variables are missing or contradict each other; the
      other processes cannot be reached.
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
  """Refuses one host of a slice of TPUs that has not joined the others."""
  if jax.process_count() > 1:
    raise ValueError(
      f'this is one of {jax.process_count()} hosts of a slice of TPUs and has '
      'not met the others; give --coordinator=auto on all of them'
    )
