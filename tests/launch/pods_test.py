"""Laws of the launchers of pods: their tools take what they would run."""

import os
import pathlib
import shlex
import subprocess
import sys

import pytest
import yaml

from launch.train import to_folder
from mirage_jax.profiling import devices
from tests.tools import installed

ROOT = pathlib.Path(__file__).parents[2]
PODS = ROOT / 'launch' / 'pods'
SCRIPTS = sorted(PODS.glob('*.sh'))
FLAGS = ['--config=experiments/mirage_b.py', '--workdir=/data/a "run"']
ODD = [r'--x=a\nb', '--y=$HOME & $(A)', '--z=two\nlines']


def dry_run(name, *flags):
  done = subprocess.run(
    [PODS / name, '--dry-run', *(flags or FLAGS)],
    capture_output=True,
    text=True,
    check=True,
  )
  return done.stdout


def with_tools(folder, name, tools, **environment):
  """Runs a script where these programs (by name, in shell) come first."""
  (folder / 'bin').mkdir(parents=True)
  for tool, text in tools.items():
    (folder / 'bin' / tool).write_text(f'#!/bin/bash\n{text}\n')
    (folder / 'bin' / tool).chmod(0o755)
  return subprocess.run(
    [PODS / name, *FLAGS],
    cwd=folder,
    env={'PATH': f'{folder}/bin:/usr/bin:/bin', 'HOME': str(folder)}
    | environment,
    capture_output=True,
    text=True,
  )


@pytest.mark.parametrize('script', SCRIPTS, ids=lambda path: path.name)
def test_scripts_are_sound_and_say_how_they_are_used(script):
  for check in (['bash', '-n'], [installed('shellcheck')]):
    done = subprocess.run([*check, script], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
  done = subprocess.run([script], capture_output=True, text=True)
  assert done.returncode == 2
  assert '--dry-run --config=' in done.stderr


def test_kubernetes_takes_the_manifest(tmp_path):
  manifest = tmp_path / 'job.yaml'
  manifest.write_text(dry_run('gke.sh', *FLAGS, *ODD))
  done = subprocess.run(
    [installed('kubernetes-validate'), '--strict', manifest],
    capture_output=True,
    text=True,
  )
  assert done.returncode == 0, done.stdout + done.stderr
  service, job = yaml.safe_load_all(manifest.read_text())
  pod = job['spec']['template']['spec']
  (container,) = pod['containers']
  given = [text.replace('$$', '$') for text in container['args']]
  assert given == FLAGS + ODD
  assert '$(A)' not in container['args'][3].replace('$$', '')
  assert service['metadata']['name'] == pod['subdomain']
  stopped, _ = job['spec']['podFailurePolicy']['rules']
  assert stopped['onExitCodes']['values'] == [os.EX_TEMPFAIL]
  assert stopped['onExitCodes']['containerName'] == container['name']


def test_azure_takes_the_job(tmp_path):
  from azure.ai.ml import load_job

  path = tmp_path / 'job.yaml'
  path.write_text(dry_run('azure_ml.sh', FLAGS[0]))
  job = load_job(str(path))
  command = shlex.split(job.command.partition('&& ')[2])
  assert command[:4] == ['python', '-m', 'launch.train', FLAGS[0]]
  assert command[-1] == '--workdir=${{outputs.run}}'
  assert job.distribution.process_count_per_instance == 1


@pytest.mark.parametrize(
  'name, words',
  [
    ('slurm.sh', ['srun', 'python -m launch.pods.restarts --config']),
    (
      'tpu_vm.sh',
      [
        'tpu-vm create',
        '--worker=all',
        '-m launch.train --coordinator=auto --config',
      ],
    ),
  ],
)
def test_the_others_say_what_they_would_run(name, words):
  said = dry_run(name)
  assert all(word in said for word in words)


@pytest.mark.parametrize('code, requeued', [(75, True), (0, False), (1, False)])
def test_slurm_queues_again_what_was_stopped(tmp_path, code, requeued):
  tools = {'srun': f'exit {code}', 'scontrol': 'echo "$@" >asked'}
  done = with_tools(tmp_path, 'slurm.sh', tools, SLURM_JOB_ID='7')
  assert done.returncode == code, done.stderr
  asked = tmp_path / 'asked'
  assert asked.exists() == requeued
  assert not requeued or asked.read_text() == 'requeue 7\n'


# Each says 'python3.12 -m venv', or whatever it is asked, to a file.
RECORD = 'echo "${0##*/} $*" >>"$HOME/said"'
OLD = {f'python3{x}': 'exit 1' for x in ('', '.11', '.12', '.13', '.14')}
HOST = {
  'gcloud': 'cd "$HOME"; for x; do [[ $x != --command=* ]] || '
  'exec bash -c "${x#--command=}"; done',
  'git': ':',
  'tar': 'mkdir -p mirage; exit 0',
}


def test_tpu_hosts_take_a_python_that_is_new_enough(tmp_path):
  made = (
    'mkdir -p .venv/bin; for x in pip python; do cp "$0" .venv/bin/$x; done'
  )
  new = {'python3.12': f'{RECORD}\n[[ $2 != venv ]] || {{ {made}; }}'}
  setup = 'echo setup >>"$HOME/said"'
  tools = HOST | OLD | new
  done = with_tools(tmp_path / 'new', 'tpu_vm.sh', tools, SETUP=setup)
  assert done.returncode == 0, done.stderr
  said = (tmp_path / 'new' / 'said').read_text().splitlines()
  assert said[0] == 'setup'
  assert said[2:4] == ['python3.12 -m venv .venv', 'pip install -q -e .[tpu]']
  train = '-m launch.train --coordinator=auto'
  assert said[4:] == [f'python {train} {" ".join(FLAGS)}']
  done = with_tools(tmp_path / 'old', 'tpu_vm.sh', HOST | OLD)
  assert done.returncode == 1
  assert 'error: no Python of 3.11 or later' in done.stderr
  assert 'SETUP="sudo apt-get' in done.stderr


STOPPED = """
from launch import train
train.main = lambda argv: {'step': 3}
from launch.pods import restarts
restarts.run()
"""


@pytest.mark.parametrize('steps, code', [(3, 0), (4, os.EX_TEMPFAIL)])
def test_a_run_with_steps_left_asks_to_be_started_again(steps, code):
  config = '--config=experiments/smoke.py', f'--config.train.steps={steps}'
  done = subprocess.run(
    [sys.executable, '-c', STOPPED, *config],
    cwd=ROOT,
    capture_output=True,
    text=True,
  )
  assert done.returncode == code, done.stderr
  assert done.stdout == '{"step": 3}\n'


def test_a_workdir_is_a_folder():
  assert to_folder('runs/a:b') == pathlib.Path('runs/a:b')
  with pytest.raises(ValueError, match="'gs://bucket/a' is a URL.*gcsfuse"):
    to_folder('gs://bucket/a')


def test_gpus_are_not_asked_of_the_compiler_of_tpus():
  with pytest.raises(ValueError, match="'h100:8' is of GPUs.*--topology=here"):
    devices.find_devices('h100:8')
