"""Laws of checkpoints: what comes back was saved, and is whole."""

import json
import pathlib
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mirage_jax import sharding, trees
from mirage_jax.runs import integrity
from mirage_jax.runs.checkpoints import Checkpoints, load_params
from tests.training.fakes import make_batches, make_params, make_training


def make_state(number: int, size: int = 16):
  """Random bits, so that a changed byte cannot hide in compressed zeros."""
  state, _ = make_training()
  state = state.replace(params=make_params(size), ema=make_params(size))
  rng = np.random.default_rng(number)

  def draw(x):
    if not jnp.issubdtype(x.dtype, jnp.floating):
      return x
    return jnp.asarray(rng.normal(size=x.shape), x.dtype)

  return jax.tree.map(draw, state).replace(step=jnp.asarray(number))


def save(workdir, *numbers, **settings):
  batches = make_batches()
  with Checkpoints(workdir, **settings) as saved:
    for number in numbers:
      next(batches)
      saved.save(make_state(number), batches)
    saved.wait()
    return saved.steps


def restore(workdir, like=None):
  batches, said = make_batches(), []
  with Checkpoints(workdir, warn=said.append) as saved:
    state = saved.restore(make_state(0) if like is None else like, batches)
    return state, np.asarray(next(batches).key).tolist(), said


def keys_after(count):
  batches = make_batches()
  for _ in range(count):
    next(batches)
  return np.asarray(next(batches).key).tolist()


def same(a, b):
  return all(
    np.asarray(x).tobytes() == np.asarray(y).tobytes()
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True)
  )


def test_state_and_data_come_back_bit_for_bit(tmp_path):
  save(tmp_path, 1, 2)
  state, keys, said = restore(tmp_path)
  assert same(state, make_state(2)) and keys == keys_after(2) and not said
  assert jax.tree.structure(state) == jax.tree.structure(make_state(2))


def test_nothing_saved_restores_nothing(tmp_path):
  assert restore(tmp_path)[0] is None


def test_the_newest_and_every_nth_stay(tmp_path):
  steps = save(tmp_path, *range(1, 9), keep=2, keep_every=4)
  assert steps == [4, 7, 8]


def test_a_step_that_is_there_is_left_alone(tmp_path):
  assert save(tmp_path, 1, 1) == [1]
  assert restore(tmp_path)[1] == keys_after(1)


def test_restores_on_another_mesh(tmp_path):
  save(tmp_path, 1)
  state = make_state(0)
  mesh = sharding.make_mesh(data=2, fsdp=4)
  wanted = jax.tree.map(
    lambda x: sharding.partition(
      mesh, x.shape, ['width', *([None] * (x.ndim - 1))][: x.ndim]
    ),
    state,
  )
  found, *_ = restore(tmp_path, trees.shapes(state, wanted))
  assert same(found, make_state(1))
  assert found.params['dense']['kernel'].sharding.spec[0] == 'fsdp'


def damage(path: pathlib.Path, how: str) -> None:
  data = path.read_bytes()
  if how == 'gone':
    path.unlink()
  elif how == 'short':
    path.write_bytes(data[: len(data) // 2])
  else:
    middle = len(data) // 2
    flipped = bytes([data[middle] ^ 1])
    path.write_bytes(data[:middle] + flipped + data[middle + 1 :])


@pytest.mark.parametrize('how', ['short', 'flipped', 'gone'])
def test_any_damaged_file_is_noticed_or_harmless(tmp_path, how):
  """For every file: the newest bits, or those before with a line about it."""
  save(tmp_path / 'whole', 1, 2)
  newest = tmp_path / 'whole' / 'checkpoints' / '2'
  files = [p.relative_to(newest) for p in newest.rglob('*') if p.is_file()]
  noticed = 0
  for name in sorted(files):
    shutil.copytree(tmp_path / 'whole', tmp_path / 'run')
    damage(tmp_path / 'run' / 'checkpoints' / '2' / name, how)
    state, keys, said = restore(tmp_path / 'run')
    number = int(state.step)
    assert same(state, make_state(number)) and keys == keys_after(number), name
    assert (number == 1) == bool(said), name
    noticed += number == 1
    for line in said:
      assert 'checkpoints/2 ' in line and '\n' not in line
    params, step = load_params(tmp_path / 'run', lambda _: None)
    assert same(params, make_state(step).ema), name
    shutil.rmtree(tmp_path / 'run')
  assert noticed >= 3


def test_a_damaged_checkpoint_makes_room_for_its_successor(tmp_path):
  save(tmp_path, 1, 2)
  shutil.rmtree(tmp_path / 'checkpoints' / '2' / 'state')
  batches = make_batches()
  with Checkpoints(tmp_path, warn=lambda _: None) as saved:
    state = saved.restore(make_state(0), batches)
    next(batches)
    saved.save(state.replace(step=jnp.asarray(2)), batches)
  assert restore(tmp_path)[1:] == (keys_after(2), [])
  assert [p.name for p in (tmp_path / 'damaged').iterdir()] == ['2-0']


def test_all_damaged_says_so(tmp_path):
  save(tmp_path, 1, 2)
  for number in '12':
    shutil.rmtree(tmp_path / 'checkpoints' / number / 'state')
  with pytest.raises(ValueError, match=r'every checkpoint in .* is damaged'):
    restore(tmp_path)
  assert sorted(p.name for p in (tmp_path / 'checkpoints').iterdir()) == [
    '1',
    '2',
  ]
  with pytest.raises(ValueError, match=r'every checkpoint in .* is damaged'):
    load_params(tmp_path, lambda _: None)


def test_another_architecture_is_named_with_both_shapes(tmp_path):
  save(tmp_path, 1)
  with pytest.raises(ValueError) as error:
    restore(tmp_path, make_state(0, size=8))
  assert 'params/dense/bias has shape (16,), expected (8,)' in str(error.value)
  assert (tmp_path / 'checkpoints' / '1').exists()


def test_what_several_processes_saved_comes_back_in_one(tmp_path):
  save(tmp_path, 1)
  data = tmp_path / 'checkpoints' / '1' / 'data'
  (data / 'process_0-of-1.json').rename(data / 'process_0-of-2.json')
  state, keys, said = restore(tmp_path)
  assert same(state, make_state(1)) and keys == keys_after(1) and not said


@pytest.mark.parametrize('average', [True, False])
def test_parameters_alone(tmp_path, average):
  state = make_state(3)
  if not average:
    state = state.replace(ema=None)
  with Checkpoints(tmp_path) as saved:
    saved.save(state, make_batches())
  params, step = load_params(tmp_path)
  assert step == 3 and same(params, state.best)


def test_parameters_of_nothing(tmp_path):
  with pytest.raises(FileNotFoundError, match='no checkpoint in'):
    load_params(tmp_path / 'missing')
  assert not (tmp_path / 'missing').exists()


def test_a_full_disk_is_one_line_and_leaves_what_was_there(
  tmp_path, monkeypatch
):
  save(tmp_path, 1)
  with Checkpoints(tmp_path) as saved:

    def full(*_, **__):
      raise OSError(28, 'No space left on device')

    monkeypatch.setattr(saved._checkpointer, 'save_checkpointables_async', full)
    with pytest.raises(OSError) as error:
      saved.save(make_state(2), make_batches())
    monkeypatch.setattr(saved._checkpointer, 'wait', full)
    with pytest.raises(OSError, match='cannot write a checkpoint'):
      saved.wait()
    monkeypatch.undo()
  line = str(error.value)
  assert 'No space left on device' in line and 'goes on from step 1' in line
  assert '\n' not in line
  assert restore(tmp_path)[1] == keys_after(1)


def test_unfinished_folders_of_a_kill_are_cleared(tmp_path):
  save(tmp_path, 1)
  shutil.copytree(
    tmp_path / 'checkpoints' / '1',
    tmp_path / 'checkpoints' / '2.orbax-checkpoint-tmp',
  )
  assert restore(tmp_path)[1] == keys_after(1)
  assert [p.name for p in (tmp_path / 'checkpoints').iterdir()] == ['1']


def test_brief_reasons_are_one_line():
  error = ValueError('first\nsecond')
  wrapped = RuntimeError('outer')
  wrapped.__cause__ = error
  assert integrity.brief(wrapped) == 'ValueError: first'
  assert json.dumps(integrity.brief(OSError())) == '"OSError"'


def test_parameters_of_one_step(tmp_path):
  save(tmp_path, 1, 2)
  params, step = load_params(tmp_path, only=1)
  assert step == 1 and same(params, make_state(1).ema)
  with pytest.raises(FileNotFoundError, match=r'step 7 .* have \[1, 2\]'):
    load_params(tmp_path, only=7)
