"""Whatever is wrong with the input: one clear line, and nothing is harmed."""

import dataclasses
import hashlib
import json
import os
import pathlib
import resource
import subprocess
import sys

import jax
import numpy as np
import pytest
from PIL import Image

from experiments import smoke
from mirage_jax import build
from mirage_jax.memory import storage
from mirage_jax.memory.view_grid.grid import ViewGrid
from mirage_jax.models.world_model import init_params
from mirage_jax.runs import export

ROOT = pathlib.Path(__file__).parents[2]
SMOKE = f'--config={ROOT}/experiments/smoke.py'


def run(program, *args, disk_bytes=None):
  """Runs a program as its user does, with a disk of that size if given."""

  def limit():
    resource.setrlimit(resource.RLIMIT_FSIZE, (disk_bytes, disk_bytes))

  return subprocess.run(
    [sys.executable, '-m', f'launch.{program}', *map(str, args)],
    capture_output=True,
    text=True,
    cwd=ROOT,
    env={**os.environ, 'JAX_PLATFORMS': 'cpu'},
    preexec_fn=None if disk_bytes is None else limit,
    timeout=300,
  )


def refused(outputs, program, *args, **options):
  """The one line of a refusal; `outputs` must be as they were."""
  before = contents(outputs)
  done = run(program, *args, **options)
  assert done.returncode != 0, done.stdout
  assert 'Traceback' not in done.stderr, done.stderr
  lines = [x for x in done.stderr.splitlines() if x.startswith('error: ')]
  assert len(lines) == 1 and done.stderr.strip().endswith(lines[0]), done.stderr
  assert contents(outputs) == before
  return lines[0]


def contents(folder):
  """Hashes of the files that a user sees."""
  folder = pathlib.Path(folder)
  paths = [path.relative_to(folder) for path in sorted(folder.rglob('*'))]
  return {
    str(path): hashlib.sha256((folder / path).read_bytes()).hexdigest()
    for path in paths
    if (folder / path).is_file() and not str(path).startswith('.')
  }


@pytest.fixture
def scene(tmp_path):
  """A small posed RGB-D folder in which nothing is wrong."""
  folder = tmp_path / 'scene'
  folder.mkdir()
  frames = []
  for index in range(12):
    rgb = np.full((16, 16, 3), 20 * index, np.uint8)
    depth = np.full((16, 16), 2000, np.uint16)
    Image.fromarray(rgb).save(folder / f'{index}.png')
    Image.fromarray(depth).save(folder / f'{index}_depth.png')
    frames.append(
      {
        'file_path': f'{index}.png',
        'depth_file_path': f'{index}_depth.png',
        'transform_matrix': np.eye(4).tolist(),
      }
    )
  shared = {'fl_x': 16, 'fl_y': 16, 'cx': 8, 'cy': 8, 'w': 16, 'h': 16}
  write_transforms(folder, shared | {'frames': frames})
  return folder


@pytest.fixture
def outputs(tmp_path):
  """A folder of results that an earlier, good run has left."""
  folder = tmp_path / 'outputs'
  folder.mkdir()
  for name in ('metrics.json', 'sample.mp4', 'memory.safetensors'):
    (folder / name).write_text('earlier')
  return folder


@pytest.fixture(scope='session')
def models(tmp_path_factory):
  """An untrained model of `smoke` in the form of a released one."""
  return write_model(tmp_path_factory.mktemp('models') / 'smoke', 'view_grid')


def write_model(folder, memory):
  config = smoke.get_config()
  config.memory.kind = memory
  params = init_params(
    build.make_model(config.to_dict()),
    jax.random.key(0),
    config.source.height,
    config.source.width,
  )
  export.export(folder, export.Released(params, config.to_dict(), 'none', 0, 0))
  return folder


def read_transforms(folder):
  return json.loads((folder / 'transforms.json').read_text())


def write_transforms(folder, transforms):
  (folder / 'transforms.json').write_text(json.dumps(transforms))


def readout(scene, outputs):
  return refused(
    outputs,
    'evaluate',
    '--suite=readout',
    f'--source={scene}',
    f'--output={outputs}',
  )


def sampled(outputs, checkpoint, *args, **options):
  return refused(
    outputs,
    'sample',
    f'--checkpoint={checkpoint}',
    f'--output={outputs}',
    *args,
    **options,
  )


@pytest.mark.parametrize(
  'program', ['train', 'sample', 'evaluate', 'benchmark']
)
def test_help_lists_the_seed_and_succeeds(program):
  done = run(program, '--help')
  assert done.returncode == 0 and '--seed' in done.stdout.replace('[no]', '')


def test_a_missing_config(outputs):
  line = refused(
    outputs, 'train', '--config=experiments/none.py', f'--workdir={outputs}/run'
  )
  assert 'experiments/none.py' in line


def test_an_unknown_config_key(outputs):
  line = refused(
    outputs,
    'train',
    SMOKE,
    '--config.optimizer.stpes=1',
    f'--workdir={outputs}',
  )
  assert "unknown config key 'optimizer.stpes'" in line and 'steps' in line


def test_a_workdir_of_another_experiment(outputs):
  config = smoke.get_config()
  config.model.patch = 4
  (outputs / 'config.json').write_text(json.dumps(config.to_dict()))
  line = refused(outputs, 'train', SMOKE, f'--workdir={outputs}')
  assert 'another experiment' in line and 'model.patch' in line


def test_a_missing_folder(tmp_path, outputs):
  line = readout(tmp_path / 'nowhere', outputs)
  assert 'nowhere' in line and 'transforms.json' in line


def test_an_unknown_source(models, outputs):
  line = sampled(outputs, models, '--source=roms')
  assert 'roms' in line and 'rooms, streets' in line


def test_an_unknown_path(models, outputs):
  line = sampled(outputs, models, '--source=rooms', '--path=sideways')
  assert 'sideways' in line and 'out_and_back' in line


def test_transforms_that_are_cut_off(scene, outputs):
  text = (scene / 'transforms.json').read_text()
  (scene / 'transforms.json').write_text(text[: len(text) // 2])
  assert 'transforms.json' in readout(scene, outputs)


def test_images_that_are_unreadable(scene, outputs):
  for path in scene.glob('*.png'):
    path.write_bytes(path.read_bytes()[:40])
  assert str(scene) in readout(scene, outputs)


@pytest.mark.parametrize('scale', [0.0, 2.0, float('nan')])
def test_a_pose_that_is_no_rotation(scene, outputs, scale):
  transforms = read_transforms(scene)
  pose = np.array(transforms['frames'][3]['transform_matrix'])
  pose[:3, :3] *= scale
  transforms['frames'][3]['transform_matrix'] = pose.tolist()
  write_transforms(scene, transforms)
  line = readout(scene, outputs)
  assert '3.png' in line and ('rotation' in line or 'NaN' in line)


def test_depth_of_the_wrong_size(scene, outputs):
  Image.fromarray(np.ones((16, 12), np.uint16)).save(scene / '5_depth.png')
  line = readout(scene, outputs)
  assert "'5.png'" in line and '12x16' in line and '16x16' in line


def test_a_missing_checkpoint(outputs):
  line = sampled(outputs, 'nowhere', '--source=rooms')
  assert 'nowhere' in line and 'expected' in line


def test_a_checkpoint_of_another_architecture(models, outputs, tmp_path):
  model = export.load(models)
  config = smoke.get_config()
  config.model.transformer.width = 96
  other = dataclasses.replace(model, config=config.to_dict())
  export.export(tmp_path / 'other', other)
  line = sampled(outputs, tmp_path / 'other', '--source=rooms')
  assert 'another architecture' in line and '64' in line and '96' in line


def test_a_truncated_checkpoint(models, outputs, tmp_path):
  folder = tmp_path / 'cut'
  folder.mkdir()
  for name in ('config.json', 'params.safetensors'):
    data = (models / name).read_bytes()
    (folder / name).write_bytes(data)
  (folder / 'params.safetensors').write_bytes(data[: len(data) // 2])
  line = sampled(outputs, folder, '--source=rooms')
  assert 'params.safetensors' in line and 'damaged' in line


def test_a_truncated_memory_file(models, outputs, tmp_path):
  memory = build.make_memory(smoke.get_config().to_dict(), 'rollout')
  path = tmp_path / 'memory.safetensors'
  storage.save(path, memory, memory.init(jax.numpy.eye(4)))
  path.write_bytes(path.read_bytes()[:1000])
  line = sampled(outputs, models, '--source=rooms', f'--memory={path}')
  assert 'memory.safetensors' in line and 'truncated' in line


def test_a_memory_of_another_model(models, outputs, tmp_path):
  memory = ViewGrid(entries=3 * 2**4)
  path = tmp_path / 'memory.safetensors'
  storage.save(path, memory, memory.init(jax.numpy.eye(4)))
  line = sampled(outputs, models, '--source=rooms', f'--memory={path}')
  assert 'the checkpoint that wrote it' in line


def test_an_unknown_row(outputs):
  line = refused(outputs, 'benchmark', '--rows=spped')
  assert 'spped' in line and 'worlds, memory, train, sample, bench' in line


@pytest.mark.slow
def test_a_full_disk_while_sampling(scene, outputs, tmp_path):
  line = sampled(
    outputs, write_model(tmp_path / 'window', 'none'), f'--source={scene}',
    '--path=clip', '--observed=4', '--chunks=1', disk_bytes=2**10,
  )  # fmt: skip
  assert 'free space' in line
