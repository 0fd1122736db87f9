"""Laws of the launchers of pods: their tools take what they would run."""

import pathlib
import shlex
import subprocess

import pytest
import yaml

PODS = pathlib.Path(__file__).parents[2] / 'launch' / 'pods'
SCRIPTS = sorted(PODS.glob('*.sh'))
FLAGS = ['--config=experiments/mirage_b.py', '--workdir=/data/a "run"']


def dry_run(name, *flags):
  done = subprocess.run(
    [PODS / name, '--dry-run', *(flags or FLAGS)],
    capture_output=True,
    text=True,
    check=True,
  )
  return done.stdout


@pytest.mark.parametrize('script', SCRIPTS, ids=lambda path: path.name)
def test_scripts_are_sound_and_say_how_they_are_used(script):
  for check in (['bash', '-n'], ['shellcheck']):
    done = subprocess.run([*check, script], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
  done = subprocess.run([script], capture_output=True, text=True)
  assert done.returncode == 2
  assert '--dry-run --config=' in done.stderr


def test_kubernetes_takes_the_manifest(tmp_path):
  manifest = tmp_path / 'job.yaml'
  manifest.write_text(dry_run('gke.sh'))
  done = subprocess.run(
    ['kubernetes-validate', '--strict', manifest],
    capture_output=True,
    text=True,
  )
  assert done.returncode == 0, done.stdout + done.stderr
  service, job = yaml.safe_load_all(manifest.read_text())
  pod = job['spec']['template']['spec']
  (container,) = pod['containers']
  assert container['args'] == FLAGS
  assert service['metadata']['name'] == pod['subdomain']


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
    ('slurm.sh', ['srun', 'python -m launch.train --config']),
    (
      'tpu_vm.sh',
      ['tpu-vm create', '--worker=all', '-m launch.train --config'],
    ),
  ],
)
def test_the_others_say_what_they_would_run(name, words):
  said = dry_run(name)
  assert all(word in said for word in words)
