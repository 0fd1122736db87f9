"""Laws of the training program: killed = never killed."""

import importlib
import json
import os
import pathlib
import random
import shutil
import signal
import subprocess
import sys
import time

import ml_collections
import numpy as np
import pytest

from experiments import (
  bench,
  mirage_b,
  rooms_tiny,
  rooms_tiny_fast,
  rooms_tiny_window,
)
from mirage_jax import build, sections, trees
from mirage_jax.memory import kinds
from mirage_jax.runs import metrics, workdirs
from mirage_jax.runs.checkpoints import load_params
from mirage_jax.runs.run import Settings
from mirage_jax.training import optimizer

ROOT = pathlib.Path(__file__).parents[2]
EXPERIMENTS = sorted(
  path.stem
  for path in (ROOT / 'experiments').glob('*.py')
  if path.stem != '__init__'
)
# What these tests are about is the same with a memory and in worlds, which
# take long to compile; `.ci/run` kills and resumes a run with both.
QUICK = ('--config.memory.kind=none', '--config.train.image_every=0')


def record(folder):
  """The flag of a source that has nothing to compile: noise on flat walls."""
  folder.mkdir(exist_ok=True)
  path, shape = folder / 'walls.npz', (8, 12, 32, 32)
  if not path.exists():
    rng = np.random.default_rng(0)
    pose = np.tile(np.eye(4), (*shape[:2], 1, 1))
    pose[..., 0, 3] = np.linspace(0, 1, shape[1])
    np.savez(
      path,
      rgb=rng.integers(0, 256, (*shape, 3)).astype(np.uint8),
      depth=np.full(shape, 2.0),
      c2w=pose,
      K=np.array([[32.0, 0, 16], [0, 32, 16], [0, 0, 1]]),
    )
  return f'--config.source.kind={path}'


def command(workdir, *more):
  return [
    sys.executable,
    '-m',
    'launch.train',
    '--config=experiments/smoke.py',
    f'--workdir={workdir}',
    *more,
  ]


def start(workdir, *more, **options):
  # All runs of a test, and of all tests under .ci/run, compile once.
  compiled = {'JAX_COMPILATION_CACHE_DIR': f'{pathlib.Path(workdir).parent}/c'}
  environment = compiled | os.environ
  environment |= {'JAX_PLATFORMS': 'cpu', 'PYTHONUNBUFFERED': '1'}
  return subprocess.Popen(
    command(workdir, *more),
    cwd=ROOT,
    env=environment,
    stdout=subprocess.PIPE,
    stderr=subprocess.PIPE,
    text=True,
    **options,
  )


def finish(process):
  """Its figures, from the last line of stdout."""
  try:
    out, err = process.communicate(timeout=1200)
  finally:
    process.kill()
  assert process.returncode == 0, err
  return json.loads(out.splitlines()[-1])


def test_the_window_differs_in_the_memory_alone():
  difference = workdirs.config_difference(
    rooms_tiny.get_config().to_dict(), rooms_tiny_window.get_config().to_dict()
  )
  assert difference == ('memory.kind', 'view_grid', 'none')
  other = rooms_tiny.get_config()
  other.memory.kind = 'none'
  assert other.to_dict() == rooms_tiny_window.get_config().to_dict()


@pytest.mark.parametrize(
  ('platform', 'attention', 'lookups'),
  [
    ('tpu', 'flash', 'vmem'),
    ('gpu', 'cudnn', 'plain'),
    ('cpu', 'plain', 'plain'),
  ],
)
def test_kernels_are_those_of_the_platform(platform, attention, lookups):
  config = mirage_b.get_config()
  model = build.make_model(config.to_dict(), platform=platform)
  assert model.generator.transformer['kernel'] == attention
  assert model.memory.lookup == lookups
  config.memory.lookup = config.model.transformer.kernel = 'plain'
  model = build.make_model(config.to_dict(), platform=platform)
  assert {model.generator.transformer['kernel'], model.memory.lookup} == {
    'plain'
  }


@pytest.mark.parametrize('name', EXPERIMENTS)
def test_experiments_say_command_cost_and_expectation(name):
  experiment = importlib.import_module(f'experiments.{name}')
  assert f'--config=experiments/{name}.py' in experiment.__doc__
  for word in ('Command:', 'Cost:', 'Expect:'):
    assert word in experiment.__doc__
  config = experiment.get_config()
  sections.call(Settings, 'train', config.train)
  sections.call(optimizer.make_optimizer, 'optimizer', config.optimizer)
  config.train.steps = 77
  assert config.optimizer.steps == 77  # the schedule ends with the run


def test_the_student_starts_from_its_teacher():
  config = rooms_tiny_fast.get_config()
  config.distillation.teacher = 'other'
  assert config.train.base == 'other'
  model = rooms_tiny.get_config().model.to_dict()
  assert config.model.to_dict() == model


@pytest.mark.parametrize('memory', bench.MEMORIES)
def test_the_bench_differs_in_the_memory_alone(memory):
  config = bench.get_config(memory)
  base = bench.get_config()
  model = build.make_model(config.to_dict())
  kind = memory if memory in kinds.KINDS else None
  assert type(model.memory) is (kinds.KINDS[kind] if kind else type(None))
  assert model.generator.per_frame == (memory == 'frame')
  build.make_memory(config.to_dict(), 'rollout')
  for section in ('memory', 'rollout_memory'):
    del config[section], base[section]
  config.model.per_frame, config.data.context = False, 4
  assert config.to_dict() == base.to_dict()


def test_the_bench_names_its_memories():
  with pytest.raises(ValueError, match="unknown memory 'hsah_grid'; have none"):
    bench.get_config('hsah_grid')


def test_memories_of_whole_pictures_are_not_of_cells():
  config = bench.get_config('frame_bank')
  config.model.pixel_group = 2
  with pytest.raises(ValueError, match='but a frame_bank keeps whole pictures'):
    build.make_model(config.to_dict())


@pytest.mark.parametrize(
  'key, value',
  [
    ('steps', 0),
    ('log_every', 0),
    ('keep', 0),
    ('image_every', -1),
    ('ema', 1.0),
    ('precision', 'float16'),
  ],
)
def test_bad_settings_are_named(key, value):
  with pytest.raises(ValueError, match=f'config.train.{key} is {value!r}'):
    Settings(**({'steps': 4} | {key: value}))


@pytest.mark.parametrize(
  'section, words',
  [
    ({'steps': 4, 'stpes': 5}, "unknown config key 'train.stpes'; have steps"),
    ({'keep': 4}, "config key 'train.steps' is missing"),
  ],
)
def test_sections_are_exact(section, words):
  with pytest.raises(ValueError) as error:
    sections.call(Settings, 'train', ml_collections.ConfigDict(section))
  assert str(error.value).startswith(words)


def wait_for_steps(process, count):
  """Returns after the process has reported so many steps, or has ended."""
  for line in process.stdout:
    count -= line.startswith('step ')
    if count <= 0:
      break


def kill(process, workdir, dice, saving):
  """SIGKILL some steps on, or in the middle of a save; whether it was alive."""
  wait_for_steps(process, dice.randint(1, 4))
  if saving:
    for _ in range(2000):
      if [*(workdir / 'checkpoints').glob('*tmp*')]:
        break
      time.sleep(0.001)
  else:
    time.sleep(dice.uniform(0, 0.5))
  caught = bool([*(workdir / 'checkpoints').glob('*tmp*')])
  process.kill()
  process.communicate()
  return process.returncode == -signal.SIGKILL, caught


@pytest.mark.slow
def test_killed_at_random_moments_is_never_killed(tmp_path, request):
  kills = request.config.getoption('kills')
  more = [
    f'--config.train.steps={8 + 4 * kills}',
    '--config.train.log_every=1',
    record(tmp_path),
    *QUICK,
  ]
  whole, parts = tmp_path / 'whole', tmp_path / 'parts'
  expected = finish(start(whole, *more))
  seed = random.randrange(2**32)
  dice, killed, caught = random.Random(seed), 0, 0
  for i in range(kills):
    alive, saving = kill(start(parts, *more), parts, dice, i % 2 == 0)
    killed, caught = killed + alive, caught + saving
  figures = finish(start(parts, *more))
  print(f'killed {killed} times, {caught} of them in a save; seed {seed}')
  assert killed and caught, seed
  assert figures['fingerprint'] == expected['fingerprint'], seed
  loaded = [load_params(folder) for folder in (whole, parts)]
  assert [step for _, step in loaded] == [8 + 4 * kills] * 2
  assert trees.fingerprint(loaded[0][0]) == trees.fingerprint(loaded[1][0])
  logs = [
    [(r['step'], r['loss']) for r in metrics.read_metrics(folder)]
    for folder in (whole, parts)
  ]
  assert logs[0] == logs[1], seed


@pytest.mark.slow
def test_sigterm_saves_a_second_writer_is_refused_and_it_goes_on(tmp_path):
  more = ['--config.train.steps=1000', record(tmp_path / 'data'), *QUICK]
  process = start(tmp_path, *more)
  for line in process.stdout:
    if line.startswith('step 4/'):
      break
  second = start(tmp_path, *more)
  _, err = second.communicate(timeout=1200)
  assert second.returncode == 1
  assert f'in use by process {process.pid}' in err.splitlines()[-1]
  process.send_signal(signal.SIGTERM)
  figures = finish(process)
  assert figures['stopped_by'] == 'SIGTERM' and figures['step'] >= 4
  assert load_params(tmp_path)[1] == figures['step']


@pytest.mark.slow
def test_a_disk_that_fills_up_leaves_the_last_checkpoint(tmp_path):
  more = [record(tmp_path), *QUICK]
  whole, parts = tmp_path / 'whole', tmp_path / 'parts'
  expected = finish(start(whole, *more))
  saved = max(size_of(path) for path in (whole / 'checkpoints').glob('[0-9]*'))
  disk = parts / 'checkpoints'
  disk.mkdir(parents=True)
  mount = ['mount', '-t', 'tmpfs', '-o', f'size={int(1.6 * saved)}', 'tmpfs']
  if shutil.which('mount') is None or subprocess.run([*mount, disk]).returncode:
    pytest.skip('needs a disk of its own, and so the right to mount one')
  try:
    process = start(parts, *more)
    _, err = process.communicate(timeout=1200)
    assert process.returncode == 1
    assert 'make room' in err.splitlines()[-1]
    assert 0 < load_params(parts)[1] < 8  # whole, or it would not load
    larger = ['mount', '-o', f'remount,size={10 * saved}', disk]
    subprocess.run(larger, check=True)
    assert finish(start(parts, *more))['fingerprint'] == expected['fingerprint']
  finally:
    subprocess.run(['umount', disk], check=True)


def size_of(folder):
  return sum(x.stat().st_size for x in folder.rglob('*') if x.is_file())
