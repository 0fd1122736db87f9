"""Evaluation in process, with an untrained model and a tiny folder."""

import dataclasses
import json

import jax
import numpy as np
import pytest
from absl import flags
from absl.testing import flagsaver
from PIL import Image

from experiments import smoke
from launch import evaluate
from mirage_jax import build
from mirage_jax.evaluation import runner, suites
from mirage_jax.geometry.clips import Clip
from mirage_jax.models.world_model import init_params
from mirage_jax.runs import export


@pytest.fixture(scope='module')
def model(tmp_path_factory):
  """An untrained window model."""
  folder = tmp_path_factory.mktemp('models') / 'window'
  config = smoke.get_config()
  config.data.update(context=1, target=2)
  config.sampler.steps = 1
  config.memory = {'kind': 'none'}
  size = config.source.height, config.source.width
  params = init_params(
    build.make_model(config.to_dict()), jax.random.key(0), *size
  )
  export.export(folder, export.Released(params, config.to_dict(), 'none', 0, 0))
  return str(folder)


@pytest.fixture(scope='module')
def scene(tmp_path_factory):
  """A camera that slides along a painted wall at 2 m, 12 frames."""
  folder = tmp_path_factory.mktemp('scene')
  entries = []
  for i in range(12):
    # 0.36 m at 2 m is 7.2 pixels of a lens of 40.
    x, y = (np.arange(36) + 7.2 * i) / 6, np.arange(36) / 6
    rgb = 127 + 100 * np.stack(
      np.broadcast_arrays(np.sin(x), np.cos(y)[:, None], np.sin(2 * x)), -1
    )
    Image.fromarray(rgb.astype(np.uint8)).save(folder / f'{i}.png')
    metres = np.full((36, 36), 2000, np.uint16)
    Image.fromarray(metres).save(folder / f'{i}_depth.png')
    pose = np.eye(4)
    pose[0, 3] = 0.36 * i  # a fifth of the view
    entry = {'file_path': f'{i}.png', 'depth_file_path': f'{i}_depth.png'}
    entries.append({**entry, 'transform_matrix': pose.tolist()})
  lens = {'fl_x': 40.0, 'fl_y': 40.0, 'cx': 18.0, 'cy': 18.0, 'w': 36, 'h': 36}
  text = json.dumps({**lens, 'camera_model': 'PINHOLE', 'frames': entries})
  (folder / 'transforms.json').write_text(text)
  return str(folder)


def run(**values):
  """Runs the program in process with these flags."""
  if not flags.FLAGS.is_parsed():
    flags.FLAGS.mark_as_parsed()
  with flagsaver.flagsaver(**values):
    return evaluate.main([])


@pytest.mark.slow
def test_a_closed_loop_suite_leaves_tables_plots_and_videos(
  model, scene, tmp_path
):
  names = ['closed_loop']
  figures = run(
    suite=','.join(names),
    checkpoint=model,
    source=scene,
    episodes=1,
    frames=12,
    observed=4,
    videos=1,
    output=str(tmp_path),
  )
  read = json.loads((tmp_path / 'metrics.json').read_text())
  assert list(read) == names
  for name in names:
    assert 'window' in read[name] and 'frozen_video' in read[name]
    assert 'window' in figures[name]
    assert (tmp_path / f'{name}.md').read_text().startswith(f'## {name}')
    assert list((tmp_path / 'plots').glob(f'{name}_*.png'))
    assert (tmp_path / 'videos' / f'{name}_0.mp4').stat().st_size > 500
  oracle = read['closed_loop']['oracle_memory']['returned_psnr_db']
  model_score = read['closed_loop']['window']['returned_psnr_db']
  assert oracle['mean'] > 25 > model_score['mean'] and oracle['n'] >= 1


# A module that adds a suite.
MODULE = """
from mirage_jax.evaluation.suite import Suite

def evaluate(setting, entrants, folder):
  half = {'mean': 0.5, 'low': 0.5, 'high': 0.5, 'n': 1}
  return {'still': {'change': half}}

SUITE = Suite(
  name='flicker',
  question='Do still scenes flicker?',
  main=('change',),
  run=evaluate,
)
"""


def replace_run(monkeypatch, name, run):
  """Lets a suite run something else, everywhere that it is known."""
  replaced = dict(suites.SUITES)
  replaced[name] = dataclasses.replace(replaced[name], run=run)
  monkeypatch.setattr(runner, 'SUITES', replaced)


def test_a_suite_of_memories_needs_no_checkpoint(scene, tmp_path, monkeypatch):
  asked = {}

  def fake(setting, entrants, folder):
    asked.update(entrants=entrants, source=setting.source)
    return {
      'hash_grid': {'psnr_db': {'mean': 1.0, 'low': 0.0, 'high': 2.0, 'n': 3}}
    }

  replace_run(monkeypatch, 'readout', fake)
  figures = run(suite='readout', source=scene, output=str(tmp_path))
  assert asked == {'entrants': {}, 'source': scene}
  assert figures['readout'] == {'hash_grid': {'psnr_db': 1.0}}
  run(suite='readout', source=scene, output=str(tmp_path))
  assert list(json.loads((tmp_path / 'metrics.json').read_text())) == [
    'readout'
  ]


def test_sources_are_measured_one_after_the_other(tmp_path, monkeypatch):
  def fake(setting, entrants, folder):
    value = 1.0 if setting.source == 'rooms' else 2.0
    interval = {'mean': value, 'low': 0.0, 'high': 3.0, 'n': 3}
    return {'hash_grid': {'psnr_all_db': interval}}

  replace_run(monkeypatch, 'readout', fake)
  found = run(suite='readout', source='rooms,streets*2', output=str(tmp_path))
  for name, value in (('rooms', 1.0), ('streets', 2.0)):
    assert found[name]['readout']['hash_grid']['psnr_all_db'] == value
    read = json.loads((tmp_path / name / 'metrics.json').read_text())
    assert read['readout']['hash_grid']['psnr_all_db']['mean'] == value
  text = (tmp_path / 'summary.md').read_text()
  assert text.index('## rooms') < text.index('## streets')


def test_suites_of_objects_are_left_out_where_there_are_none(capsys):
  bare = Clip(
    rgb=np.zeros((1, 2, 2, 3), np.uint8),
    depth_m=np.ones((1, 2, 2)),
    intrinsics=np.ones((1, 4)),
    world_from_camera=np.eye(4)[None],
    time_s=np.zeros(1),
  )
  both = runner.named(['closed_loop', 'object_position'])
  assert runner.with_objects(both, 'a.npz', [bare]) == both[:1]
  assert 'object_position: left out, a.npz has no' in capsys.readouterr().out
  assert runner.with_objects(both, 'rooms', []) == both


def test_a_suite_is_one_module(tmp_path, monkeypatch):
  (tmp_path / 'flicker.py').write_text(MODULE)
  monkeypatch.setattr(suites, '__path__', [*suites.__path__, str(tmp_path)])
  found = suites.find_suites()
  assert found.keys() - suites.SUITES.keys() == {'flicker'}
  monkeypatch.setattr(runner, 'SUITES', found)
  monkeypatch.setattr(evaluate, 'SUITES', found)
  figures = run(suite='flicker', source='rooms', output=str(tmp_path / 'out'))
  assert figures['flicker'] == {'still': {'change': 0.5}}
  report = (tmp_path / 'out' / 'flicker.md').read_text()
  assert 'Do still scenes flicker?' in report
  assert '| still | 0.500 |' in (tmp_path / 'out' / 'summary.md').read_text()


def test_all_suites_are_those_that_a_source_has_truth_for():
  def names(source):
    return {suite.name for suite in evaluate.choose_suites('all', source)}

  assert 'cost' in names('streets')
  assert {'closed_loop', 'readout'} <= names('clips.npz')
  assert not {'changed', 'robustness'} & names('clips.npz')


@pytest.mark.parametrize(
  'values,message',
  [
    ({'suite': 'closed_lop'}, "unknown suite 'closed_lop'; have calibration"),
    ({'suite': ''}, 'unknown suite'),
    ({'checkpoint': 'nowhere'}, 'nowhere'),
    ({'checkpoint': None}, 'no checkpoint given'),
    ({'source': 'roms'}, 'roms'),
    ({'source': '/no/such/folder'}, '/no/such/folder'),
    ({'episodes': 0}, '--episodes=0'),
    ({'frames': 4}, '--frames=4'),
    ({'output': None}, '--output is missing'),
    ({'source': 'a/room,b/room'}, 'has two of one name'),
    ({'suite': 'changed'}, 'give --source=rooms or streets'),
    ({'suite': 'object_position'}, 'object_position needs clips with object'),
  ],
)
def test_bad_input_is_named_and_nothing_is_left(
  values, message, model, scene, tmp_path
):
  good = {
    'suite': 'closed_loop',
    'checkpoint': model,
    'source': scene,
    'observed': 4,
    'frames': 12,
    'output': str(tmp_path),
  }
  with pytest.raises((ValueError, FileNotFoundError), match=message):
    run(**{**good, **values})
  assert not list(tmp_path.iterdir())


def test_an_unwritable_output_is_an_error(model, scene, tmp_path):
  (tmp_path / 'file').write_text('kept')
  with pytest.raises(OSError, match='file'):
    run(checkpoint=model, source=scene, output=str(tmp_path / 'file'))
  assert (tmp_path / 'file').read_text() == 'kept'
