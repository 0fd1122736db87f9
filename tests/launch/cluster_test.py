"""Laws of runs of several processes: together they are one."""

import os
import signal
import socket
import subprocess
import sys
import time

import pytest

from launch.cluster import Coordinates, coordinates, meeting, own_devices
from mirage_jax.runs import metrics
from mirage_jax.runs.checkpoints import load_params
from tests.launch.train_test import (
  QUICK,
  ROOT,
  command,
  finish,
  record,
  start,
  wait_for_steps,
)

AZURE = {'MASTER_ADDR': 'node0', 'MASTER_PORT': '6105', 'WORLD_SIZE': '2'}
SLURM = {'SLURM_NTASKS': '2', 'SLURM_PROCID': '1', 'SLURM_STEP_ID': '0'}
STEPS = '--config.train.steps=4'
SMALL = ('--config.data.batch_size=8', '--config.train.log_every=1', *QUICK)


@pytest.mark.parametrize(
  'environment, expected',
  [
    ({}, None),
    ({'WORLD_SIZE': '1', 'SLURM_NTASKS': '1'}, None),
    (AZURE | {'RANK': '1'}, Coordinates('node0:6105', 2, 1)),
    (SLURM, Coordinates()),
    ({'SLURM_NTASKS': '4'}, None),  # salloc
    ({'SLURM_NTASKS': '4', 'SLURM_PROCID': '0'}, None),  # sbatch
    (SLURM | {'SLURM_STEP_ID': '4294967290'}, None),  # a shell on a node
    ({'TPU_WORKER_HOSTNAMES': 'a,b', 'TPU_WORKER_ID': '0'}, Coordinates()),
    ({'TPU_WORKER_HOSTNAMES': 'localhost'}, None),
    ({'MEGASCALE_NUM_SLICES': '2'}, Coordinates()),
  ],
)
def test_launchers_say_where_to_meet(environment, expected):
  assert coordinates(environment) == expected


def test_half_a_meeting_is_refused():
  with pytest.raises(ValueError, match='WORLD_SIZE is 2 but RANK is not set'):
    coordinates(AZURE)
  for given in [('host:1', 2, None), ('host', 2, 0), ('host:1', 2, 2)]:
    with pytest.raises(ValueError, match='expected HOST:PORT'):
      Coordinates(*given)


def test_flags_come_before_what_the_launcher_says():
  nothing = None, None, None
  assert meeting(nothing, {}) is None
  assert meeting(nothing, SLURM) == Coordinates()
  assert meeting(('auto', None, None), {}) == Coordinates()
  assert meeting(('host:1', 2, 0), SLURM) == Coordinates('host:1', 2, 0)
  with pytest.raises(ValueError, match='or `auto` alone'):
    meeting(('auto', 2, 0), {})


@pytest.mark.parametrize(
  'environment, expected',
  [
    ({}, None),
    ({'SLURM_NTASKS': '2', 'SLURM_NNODES': '2'}, None),
    (SLURM | {'SLURM_STEP_NUM_NODES': '2'}, []),
    (SLURM | {'SLURM_STEP_NUM_NODES': '1'}, None),
    (SLURM | {'CUDA_VISIBLE_DEVICES': '1'}, []),
    (SLURM | {'CUDA_VISIBLE_DEVICES': '0,1'}, None),
    (SLURM | {'SLURM_STEP_NUM_NODES': '2', 'JAX_LOCAL_DEVICE_IDS': '0'}, None),
  ],
)
def test_a_task_has_all_gpus_of_its_node_or_its_own(environment, expected):
  assert own_devices(environment) == expected


CONNECT = """
import sys, jax
from absl import flags
from launch import cluster
jax.process_count = lambda: HOSTS
flags.FLAGS(sys.argv)
cluster.connect()
print(jax.config.values['jax_cuda_visible_devices'])
"""


def connect(*options, hosts=1, **environment):
  """Connects in a process of its own; `hosts` are those of its slice."""
  kept = {k: v for k, v in os.environ.items() if not k.startswith('KUBERNETES')}
  return subprocess.run(
    [sys.executable, '-c', CONNECT.replace('HOSTS', str(hosts)), *options],
    cwd=ROOT,
    env=kept | {'JAX_PLATFORMS': 'cpu'} | environment,
    capture_output=True,
    text=True,
    timeout=60,
  )


@pytest.mark.parametrize('nodes, seen', [('1', 'all'), ('0', '0')])
def test_jax_takes_the_gpus_that_it_is_given(nodes, seen):
  port = free_port()
  given = from_slurm(port, 0) | {'SLURM_NTASKS': '1'}
  alone = f'--coordinator=127.0.0.1:{port}', '--processes=1', '--process=0'
  done = connect(*alone, **given | {'SLURM_STEP_NUM_NODES': nodes})
  assert done.stdout.split() == [seen], done.stderr


def test_hosts_that_cannot_or_did_not_meet_are_told_at_once():
  done = connect('--coordinator=auto')  # no TPU here, nobody to be asked
  assert 'ValueError: cannot meet the other processes' in done.stderr
  done = connect(hosts=4)
  assert 'one of 4 hosts' in done.stderr
  assert 'give --coordinator=auto' in done.stderr


def free_port():
  with socket.socket() as probe:
    probe.bind(('127.0.0.1', 0))
    return probe.getsockname()[1]


def pair(workdir, *more):
  """Two processes of four devices each, of one run that SLURM started."""
  port = free_port()
  devices = {'JAX_PLATFORMS': 'cpu', 'JAX_NUM_CPU_DEVICES': '4'}
  for i in range(2):
    yield subprocess.Popen(
      command(workdir, *more),
      cwd=ROOT,
      env=os.environ | devices | from_slurm(port, i),
      stdout=subprocess.PIPE,
      stderr=subprocess.PIPE,
      text=True,
    )


def losses(workdir):
  return [row['loss'] for row in metrics.read_metrics(workdir)]


def wait_for_checkpoint(workdir, seconds=60.0):
  """Returns once there is a whole one: saving goes on beside the steps."""
  deadline = time.monotonic() + seconds
  while time.monotonic() < deadline:
    try:
      return load_params(workdir, warn=lambda line: None)[1]
    except (FileNotFoundError, ValueError):
      time.sleep(0.2)
  raise TimeoutError(f'no checkpoint in {workdir} after {seconds} s')


def from_slurm(port, i):
  return {
    'SLURM_JOB_ID': str(port),
    'SLURM_STEP_ID': '0',
    'SLURM_STEP_NODELIST': '127.0.0.1',
    'SLURM_STEP_NUM_NODES': '1',
    'SLURM_NTASKS': '2',
    'SLURM_PROCID': str(i),
    'SLURM_LOCALID': '0',
    'JAX_LOCAL_DEVICE_IDS': '',
  }


@pytest.mark.slow
def test_two_processes_train_as_one_end_together_and_one_goes_on(tmp_path):
  one, two = tmp_path / 'one', tmp_path / 'two'
  more = [record(tmp_path), *SMALL]
  finish(start(one, '--config.train.steps=8', *more))
  mesh = ['--config.mesh.fsdp=2', '--config.mesh.model=2', '--heartbeat_s=5']
  endless = '--config.train.steps=1000000'
  first, second = pair(two, endless, *mesh, *more)
  wait_for_steps(first, 4)
  wait_for_checkpoint(two)
  second.send_signal(signal.SIGSTOP)  # it hangs
  began = time.monotonic()
  _, err = first.communicate(timeout=120)
  second.kill()
  second.communicate()
  assert first.returncode != 0 and 'process' in err
  assert time.monotonic() - began < 60
  assert losses(two)[:4] == pytest.approx(losses(one)[:4], rel=2e-5)
  saved = load_params(two)[1]
  alone = finish(start(two, f'--config.train.steps={saved + 2}', *more))
  assert alone['step'] == saved + 2
  count = min(8, saved + 2)
  assert losses(two)[:count] == pytest.approx(losses(one)[:count], rel=2e-5)
