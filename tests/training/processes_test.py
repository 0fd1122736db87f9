"""Laws of several processes: they read the same, and stop together."""

import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import time

import jax
import jax.numpy as jnp
import pytest
from jax.experimental import multihost_utils

from mirage_jax import sharding, trees
from mirage_jax.runs import checkpoints, integrity, stopping
from mirage_jax.runs.checkpoints import Checkpoints
from tests.training.fakes import make_batches, make_params, make_training

ROOT = pathlib.Path(__file__).parents[2]


def start(function, workdir):
  """Two processes of two devices that meet and call `function(workdir)`."""
  with socket.socket() as probe:
    probe.bind(('127.0.0.1', 0))
    port = probe.getsockname()[1]
  name = function.__name__
  return [
    subprocess.Popen(
      [
        sys.executable,
        '-c',
        f'from tests.training import processes_test as t; t.meet({port}, {i}); '
        f't.{name}(t.pathlib.Path({str(workdir)!r}))',
      ],
      cwd=ROOT,
      env=os.environ | {'JAX_PLATFORMS': 'cpu', 'JAX_NUM_CPU_DEVICES': '2'},
      stdout=subprocess.PIPE,
      stderr=subprocess.PIPE,
      text=True,
    )
    for i in range(2)
  ]


def meet(port, index):
  jax.config.update('jax_cpu_collectives_implementation', 'gloo')
  jax.distributed.initialize(f'127.0.0.1:{port}', 2, index)


def finish(processes):
  """Collects the last line that each has printed."""
  try:
    ended = [process.communicate(timeout=120) for process in processes]
  finally:
    for process in processes:
      process.kill()
  for process, (_, err) in zip(processes, ended, strict=True):
    assert process.returncode == 0, err
  return [json.loads(out.splitlines()[-1]) for out, _ in ended]


def make_state(step):
  state, _ = make_training()
  state = state.replace(
    step=jnp.asarray(step), params=make_params(256), ema=make_params(256)
  )
  mesh = sharding.make_mesh(fsdp=4)
  return jax.device_put(state, sharding.parameter_shardings(mesh, state))


def read_where_one_cannot(workdir):
  """Saves steps 1 and 2, of which one process cannot read the second."""
  batches, said = make_batches(), []
  with Checkpoints(workdir, warn=said.append) as saved:
    for step in (1, 2):
      next(batches)
      saved.save(make_state(step), batches)
    saved.wait()
    if jax.process_index() == 1:
      fail_on_the_second(checkpoints, workdir.name)
    state = saved.restore(trees.shapes(make_state(0)), make_batches())
    restored, steps = int(state.step), saved.steps
    saved.save(state.replace(step=state.step + 1), batches)
    saved.wait()
    parts = not state.params['dense']['kernel'].is_fully_addressable
    print(json.dumps([restored, steps, saved.steps, said, parts]))


def fail_on_the_second(module, name):
  """Makes a function of `module` fail at the end, on step 2."""
  function = getattr(module, name)

  def failing(path, *arguments):
    result = function(path, *arguments)
    if path.name == '2':
      raise integrity.Damaged(f'checkpoint {path} is damaged (so it seems)')
    return result

  setattr(module, name, failing)


@pytest.mark.slow
@pytest.mark.parametrize('when', ['_wanted', '_load'])
def test_what_one_cannot_read_is_damaged_for_all(tmp_path, when):
  workdir = tmp_path / when
  first, second = finish(start(read_where_one_cannot, workdir))
  for restored, steps, after, said, parts in (first, second):
    assert (restored, steps, after, parts) == (1, [1], [1, 2], True)
    assert len(said) == 1
  assert 'so say processes [1]' in first[3][0]
  assert 'so it seems' in second[3][0]
  assert [p.name for p in (workdir / 'damaged').iterdir()] == ['2-0']


def step_until_asked(workdir):
  with stopping.stop_on_signals() as stop:
    for step in range(10_000):
      if stop.asked(step):
        break
      multihost_utils.sync_global_devices('a step')
      (workdir / f'{jax.process_index()}').write_text(str(step))
      time.sleep(0.01)
  print(json.dumps([step, stop.signal]))


@pytest.mark.slow
@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_one_is_asked_and_all_stop_after_the_same_step(tmp_path, number):
  processes = start(step_until_asked, tmp_path)
  deadline = time.monotonic() + 120
  while not (tmp_path / '1').exists() and time.monotonic() < deadline:
    time.sleep(0.1)
  processes[1].send_signal(number)
  first, second = finish(processes)
  assert first[0] == second[0] < 9_999
  assert second[1] == number.name and first[1] == 'SIGTERM'
