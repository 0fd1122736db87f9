"""Laws of shipped models: what goes out comes back, or a line says why."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mirage_jax.runs import export, locate, workdirs
from mirage_jax.runs.checkpoints import Checkpoints
from tests.training.fakes import make_batches, make_training

CONFIG = {'seed': 3, 'memory': {'cell_m': (0.5, 0.25)}}


def make_model():
  kernel = np.random.default_rng(0).normal(size=(8, 4)).astype(np.float32)
  params = {'a': {'kernel': jnp.asarray(kernel)}, 'b': jnp.arange(3)}
  return export.Released(params, CONFIG, 'c0ffee', 12, 3)


@pytest.fixture
def folder(tmp_path):
  export.export(tmp_path / 'model', make_model())
  return tmp_path / 'model'


def test_a_round_trip_keeps_all_but_the_bits_below_bfloat16(folder):
  model, back = make_model(), export.load(folder)
  assert (back.commit, back.steps, back.seed) == ('c0ffee', 12, 3)
  assert back.config == CONFIG
  kernel = back.params['a']['kernel']
  rounded = model.params['a']['kernel'].astype(jnp.bfloat16)
  assert kernel.dtype == jnp.float32
  np.testing.assert_array_equal(kernel, rounded.astype(jnp.float32))
  np.testing.assert_array_equal(back.params['b'], model.params['b'])


def test_exporting_what_was_loaded_changes_no_byte(folder, tmp_path):
  export.export(tmp_path / 'again', export.load(folder))
  for name in (export.PARAMS, export.CONFIG):
    assert (tmp_path / 'again' / name).read_bytes() == (
      folder / name
    ).read_bytes()


def test_the_file_is_two_bytes_a_parameter(folder):
  about = json.loads((folder / export.CONFIG).read_text())
  assert about['parameters'] == 8 * 4 + 3
  size = (folder / export.PARAMS).stat().st_size
  assert size < 2 * 8 * 4 + 4 * 3 + 400


@pytest.mark.parametrize('keep', [0, 100, -1])
def test_a_truncated_file_is_one_line(folder, keep):
  path = folder / export.PARAMS
  path.write_bytes(path.read_bytes()[:keep])
  with pytest.raises(
    ValueError, match=r'params.safetensors is damaged'
  ) as error:
    export.load(folder)
  assert '\n' not in str(error.value) and 'fetch it again' in str(error.value)


def test_no_safetensors_file_is_named(folder):
  (folder / export.PARAMS).write_bytes(b'hello')
  about = json.loads((folder / export.CONFIG).read_text())
  about['sha256'] = (
    '2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824'
  )
  (folder / export.CONFIG).write_text(json.dumps(about))
  with pytest.raises(ValueError, match='is no safetensors file'):
    export.load(folder)


def test_missing_files_are_named(folder):
  (folder / export.PARAMS).unlink()
  with pytest.raises(FileNotFoundError, match=r'params.safetensors is missing'):
    export.load(folder)
  with pytest.raises(FileNotFoundError, match=r'config.json is missing'):
    export.load(folder.parent)


@pytest.mark.parametrize(
  'text, words',
  [('{"com', r'config.json is damaged'), ('{"seed": 1}', 'lacks commit')],
)
def test_a_bad_config_is_named(folder, text, words):
  (folder / export.CONFIG).write_text(text)
  with pytest.raises(ValueError, match=words):
    export.load(folder)


def test_a_folder_a_workdir_and_a_shipped_name_open(
  folder, tmp_path, monkeypatch
):
  monkeypatch.setattr(export, 'SHIPPED', folder.parent)
  monkeypatch.chdir(tmp_path)
  assert locate.shipped_names() == ['model']
  monkeypatch.chdir(folder)
  assert locate.open_checkpoint('model').commit == 'c0ffee'
  assert locate.open_checkpoint(folder).steps == 12

  state, _ = make_training()
  workdir = tmp_path / 'run'
  workdirs.own(workdir, CONFIG)
  workdirs.note_commit(workdir, 'beef')
  with Checkpoints(workdir) as saved:
    saved.save(state.replace(step=jnp.asarray(7)), make_batches())
  opened = locate.open_checkpoint(workdir)
  assert (opened.steps, opened.seed, opened.config) == (7, 3, CONFIG)
  assert opened.commit == 'beef'
  jax.tree.map(np.testing.assert_array_equal, opened.params, state.best)


def test_nothing_there_lists_what_there_is(folder, tmp_path, monkeypatch):
  monkeypatch.setattr(export, 'SHIPPED', folder.parent)
  with pytest.raises(FileNotFoundError, match=r"'nothing'.* or one of: model"):
    locate.open_checkpoint('nothing')
  (folder / export.PARAMS).unlink()
  with pytest.raises(FileNotFoundError, match='params.safetensors is missing'):
    locate.open_checkpoint(folder)


def test_another_architecture_is_named():
  params = make_model().params
  locate.check_params(params, params, 'x')
  other = params | {'b': jnp.arange(4)}
  with pytest.raises(ValueError) as error:
    locate.check_params(params, other, 'x')
  assert 'checkpoint x holds another architecture: b has shape (3,), ' in str(
    error.value
  )


def test_the_commit_is_a_hash_or_unknown(monkeypatch):
  commit = export.current_commit().rstrip('+')
  assert commit == 'unknown' or len(commit) == 40
  monkeypatch.setenv('PATH', '')
  assert export.current_commit() == 'unknown'
