import os
import pathlib
import shutil
import signal
import subprocess
import sys
import textwrap

import chex
import jax
import numpy as np
import pytest

from mirage_jax import worlds
from mirage_jax.data.builders import ClipsConfig, prepare
from mirage_jax.data.builders.features import (
  from_example,
  to_example,
)
from mirage_jax.data.progress import Progress
from mirage_jax.data.sources.catalog import open_source
from mirage_jax.data.sources.tfds import TfdsSource
from mirage_jax.data.sources.world import WorldSource
from mirage_jax.worlds import WorldConfig

WORLD = WorldConfig(
  frames=3, height=8, width=8, rays_per_pixel=1, paths=('out_and_back',)
)
CONFIG = ClipsConfig(world=WORLD, clips=20, test_clips=2, seed=7)


@pytest.fixture(scope='module')
def prepared(tmp_path_factory):
  folder = tmp_path_factory.mktemp('datasets')
  prepare(folder, CONFIG)
  return folder


def expected(split: str, index: int):
  source = WorldSource(WORLD, 100, seed=7, split=split)
  return from_example(to_example(source[index]))


def test_what_is_written_is_what_is_read(prepared):
  for split, clips in (('train', 20), ('test', 2)):
    source = TfdsSource('rooms', prepared, split)
    assert len(source) == clips
    for index in (0, clips - 1):
      chex.assert_trees_all_equal(source[index], expected(split, index))
  sliced = TfdsSource('rooms', prepared, 'train[5:8]')
  chex.assert_trees_all_equal(sliced[0], expected('train', 5))


def test_only_depth_is_rounded():
  clip = WorldSource(WORLD, 1)[0]
  stored = from_example(to_example(clip))
  np.testing.assert_allclose(stored.depth_m, clip.depth_m, rtol=5e-4)
  chex.assert_trees_all_equal(stored.replace(depth_m=clip.depth_m), clip)


@pytest.mark.parametrize('kind', worlds.KINDS)
@pytest.mark.parametrize('movers', [True, False])
def test_scenes_have_as_many_objects_as_datasets_declare(kind, movers):
  config = WorldConfig(kind, movers=movers)
  scene = jax.eval_shape(
    lambda key: worlds.make_scene(key, config), jax.random.key(0)
  )
  slots = len(scene.objects) + len(scene.movers.exists)
  assert slots == worlds.OBJECTS[kind]


def test_nothing_is_left_beside_the_dataset(prepared):
  assert [path.name for path in prepared.iterdir()] == ['rooms']
  names = {path.name for path in (prepared / 'rooms').iterdir()}
  assert names == {CONFIG.name, '.config'}  # TFDS keeps the latter
  (folder,) = (prepared / 'rooms' / CONFIG.name).iterdir()
  assert folder.name == '1.0.0'


def test_preparing_twice_renders_once(prepared, monkeypatch):
  monkeypatch.setattr(WorldSource, '_render', None)
  before = {p: p.stat().st_mtime_ns for p in prepared.rglob('*')}
  prepare(prepared, CONFIG)
  assert before == {p: p.stat().st_mtime_ns for p in prepared.rglob('*')}


def test_open_source_takes_the_folder(prepared):
  assert len(open_source(str(prepared / 'rooms'))) == 20
  assert len(open_source(str(prepared), split='test', cache_gb=1.0)) == 2
  with pytest.raises(ValueError, match="unknown option 'frame'"):
    open_source(str(prepared), frame=3)


KILLED = """
import itertools, os, signal, sys
from mirage_jax.data.sources.world import WorldSource
from tests.data.builders.prepare_test import CONFIG, prepare

render, count = WorldSource._render, itertools.count()

def dying(source, index):
  if next(count) == 18:
    os.kill(os.getpid(), signal.SIGKILL)
  return render(source, index)

WorldSource._render = dying
prepare(sys.argv[1], CONFIG)
"""


def test_a_killed_preparation_goes_on(tmp_path, monkeypatch):
  """Nothing readable is left behind, and finished shards are not made again."""
  root = pathlib.Path(__file__).parents[3]
  process = subprocess.run(
    [sys.executable, '-c', textwrap.dedent(KILLED), str(tmp_path)],
    cwd=root,
    env=os.environ | {'PYTHONPATH': str(root), 'JAX_PLATFORMS': 'cpu'},
    capture_output=True,
    check=False,
  )
  assert process.returncode == -signal.SIGKILL, process.stderr.decode()
  with pytest.raises(FileNotFoundError, match='no complete dataset'):
    TfdsSource('rooms', tmp_path)
  rendered = []
  render = WorldSource._render

  def counting(source, index):
    rendered.append(index)
    return render(source, index)

  monkeypatch.setattr(WorldSource, '_render', counting)
  prepare(tmp_path, CONFIG)
  assert rendered == [16, 17, 18, 19, 0, 1]
  chex.assert_trees_all_equal(
    TfdsSource('rooms', tmp_path)[3], expected('train', 3)
  )
  assert not list((tmp_path / 'rooms').glob('.rendering*'))
  assert not list(tmp_path.rglob('incomplete*'))


def test_a_shard_that_was_cut_off_is_made_again(tmp_path):
  folder = tmp_path / 'rooms' / f'.rendering-{CONFIG.name}'
  folder.mkdir(parents=True)
  (folder / 'train-00000000.npz').write_bytes(b'PK\x03\x04 cut off')
  prepare(tmp_path, CONFIG)
  chex.assert_trees_all_equal(
    TfdsSource('rooms', tmp_path)[0], expected('train', 0)
  )


def test_what_decides_the_bits_decides_the_name():
  names = {
    ClipsConfig(world=WORLD, clips=20, test_clips=2, seed=7).name,
    ClipsConfig(world=WORLD, clips=21, test_clips=2, seed=7).name,
    ClipsConfig(world=WORLD, clips=20, test_clips=3, seed=7).name,
    ClipsConfig(world=WORLD, clips=20, test_clips=2, seed=8).name,
    ClipsConfig(world=WorldConfig(), clips=20, test_clips=2, seed=7).name,
  }
  assert len(names) == 5 and CONFIG.name in names


def test_bad_requests_get_one_line(prepared):
  with pytest.raises(ValueError, match='0 clips and 2 test clips'):
    ClipsConfig(world=WORLD, clips=0, test_clips=2)
  with pytest.raises(ValueError, match="unknown split 'val' of .* train"):
    TfdsSource('rooms', prepared, 'val')
  with pytest.raises(FileNotFoundError, match='no complete dataset'):
    TfdsSource('streets', prepared)


def test_one_of_several_datasets_is_named(prepared, tmp_path):
  shutil.copytree(prepared / 'rooms', tmp_path / 'rooms')
  shutil.copytree(prepared / 'rooms' / CONFIG.name, tmp_path / 'rooms/other')
  with pytest.raises(ValueError, match='several datasets .* name one of'):
    TfdsSource('rooms', tmp_path)
  assert len(TfdsSource(f'rooms/{CONFIG.name}', tmp_path)) == 20


def test_progress_counts_only_what_it_made(capsys):
  progress = Progress('rooms', 40, every_s=0.0)
  progress.add(20, fresh=False)
  assert capsys.readouterr().err == 'rooms: 20/40 clips\n'
  progress.add(10)
  line = capsys.readouterr().err
  assert line.startswith('rooms: 30/40 clips, ') and line.endswith(' left\n')


def test_tensorflow_stays_out(prepared):
  TfdsSource('rooms', prepared)[0]
  assert 'tensorflow' not in sys.modules
