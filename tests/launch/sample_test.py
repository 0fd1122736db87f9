"""The main job, in process, with an untrained model and a tiny folder."""

import json

import jax
import numpy as np
import pytest
from absl import flags
from absl.testing import flagsaver
from PIL import Image

from experiments import smoke
from launch import sample
from mirage_jax import build
from mirage_jax.evaluation import entrants
from mirage_jax.models.world_model import init_params
from mirage_jax.runs import export


def write_model(folder, **changes):
  """An untrained model of `smoke` as a released one."""
  config = smoke.get_config()
  config.data.update(context=1, target=2)
  config.sampler.steps = 1
  config.update(changes)
  size = config.source.height, config.source.width
  params = init_params(
    build.make_model(config.to_dict()), jax.random.key(0), *size
  )
  about = export.Released(params, config.to_dict(), 'none', 0, 0)
  export.export(folder, about)
  return str(folder)


def write_scene(folder, frames=8, depth=True):
  """A posed folder: a camera slides along a painted wall at 2 m."""
  folder.mkdir()
  entries = []
  for i in range(frames):
    x = np.linspace(0, 6, 48) + 0.2 * i
    rgb = 127 + 100 * np.stack(
      np.broadcast_arrays(np.sin(x), np.cos(x)[:36, None], np.sin(2 * x)), -1
    )
    Image.fromarray(rgb.astype(np.uint8)).save(folder / f'{i}.png')
    entry = {'file_path': f'{i}.png'}
    pose = np.eye(4)
    pose[0, 3] = 0.05 * i
    entry['transform_matrix'] = pose.tolist()
    if depth:
      metres = np.full((36, 48), 2000, np.uint16)
      Image.fromarray(metres).save(folder / f'{i}_depth.png')
      entry['depth_file_path'] = f'{i}_depth.png'
    entries.append(entry)
  lens = {'fl_x': 40.0, 'fl_y': 40.0, 'cx': 24.0, 'cy': 18.0, 'w': 48, 'h': 36}
  text = json.dumps({**lens, 'camera_model': 'PINHOLE', 'frames': entries})
  (folder / 'transforms.json').write_text(text)
  return str(folder)


@pytest.fixture(scope='module')
def models(tmp_path_factory):
  folder = tmp_path_factory.mktemp('models')
  return [
    write_model(folder / 'memory'),
    write_model(folder / 'window', memory={'kind': 'none'}),
  ]


@pytest.fixture(scope='module')
def scene(tmp_path_factory):
  return write_scene(tmp_path_factory.mktemp('scenes') / 'wall')


def run(**values):
  """Runs the program in process with these flags."""
  if not flags.FLAGS.is_parsed():
    flags.FLAGS.mark_as_parsed()
  with flagsaver.flagsaver(**values):
    return sample.main([])


@pytest.mark.slow
def test_the_main_job_compares_checkpoints_and_leaves_everything(
  models, scene, tmp_path, capsys
):
  figures = run(
    checkpoint=','.join(models),
    source=scene,
    observed=3,
    chunks=2,
    output=str(tmp_path / 'out'),
  )
  assert {'memory', 'window', 'oracle_memory'} <= set(figures['scores'])
  files = sorted(x.name for x in (tmp_path / 'out').iterdir())
  assert files == ['memory.safetensors', 'sample.mp4', 'sample.png']
  assert figures['video'] == str(tmp_path / 'out' / 'sample.mp4')
  printed = capsys.readouterr().out
  assert 'memory' in printed and 'window' in printed and 'PSNR' in printed
  assert figures['scores']['memory']['psnr_db'] > 0


@pytest.mark.parametrize('path', ['orbit', 'transforms.json'])
def test_paths_without_true_frames_have_no_score(path, models, scene, tmp_path):
  path = f'{scene}/{path}' if path.endswith('json') else path
  figures = run(
    checkpoint=models[1],
    source=scene,
    camera_path=path,
    observed=3,
    chunks=1,
    output=str(tmp_path),
  )
  assert figures['scores']['window']['returned_psnr_db'] is None
  assert (tmp_path / 'sample.mp4').exists()


@pytest.mark.parametrize(
  'values,message',
  [
    ({'checkpoint': 'nowhere'}, 'nowhere'),
    ({'checkpoint': None}, 'no checkpoint given'),
    ({'source': 'roms'}, "'roms'"),
    ({'camera_path': 'sideways'}, 'sideways'),
    ({'camera_path': 'none.json'}, 'none.json'),
    ({'chunks': 0}, '--chunks=0'),
    ({'chunks': 40}, '8 readable frames'),
    ({'output': None}, '--output is missing'),
  ],
)
def test_bad_input_is_named_and_nothing_is_left(
  values, message, models, scene, tmp_path
):
  good = {
    'checkpoint': models[1],
    'source': scene,
    'camera_path': 'clip',
    'output': str(tmp_path),
    'observed': 3,
  }
  with pytest.raises((ValueError, FileNotFoundError), match=message):
    run(**{**good, **values})
  assert not list(tmp_path.iterdir())


def test_an_unwritable_output_is_an_error(models, scene, tmp_path):
  (tmp_path / 'file').write_text('kept')
  with pytest.raises(OSError, match='file'):
    run(checkpoint=models[1], source=scene, output=str(tmp_path / 'file'))
  assert (tmp_path / 'file').read_text() == 'kept'


def test_models_of_different_sizes_are_not_compared(models, tmp_path):
  config = smoke.get_config()
  config.source.update(height=16, width=16)
  other = write_model(tmp_path / 'small', source=config.source.to_dict())
  with pytest.raises(ValueError, match='different sizes'):
    entrants.open_entrants([models[1], other])


def test_names_are_short_where_they_differ():
  assert entrants.names_of(['a/x', 'b/y']) == ['x', 'y']
  assert entrants.names_of(['a/x', 'b/x']) == ['a/x', 'b/x']
  with pytest.raises(ValueError, match='twice'):
    entrants.names_of(['a', 'a'])
