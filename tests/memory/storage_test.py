"""Memory files: what is saved is read back; anything else is one line."""

import dataclasses
import json

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import safetensors.numpy

from mirage_jax.memory import storage
from mirage_jax.memory.baselines.frame_bank import FrameBank
from mirage_jax.memory.baselines.oracle import Oracle
from mirage_jax.memory.baselines.planes import Planes
from mirage_jax.memory.baselines.point_cloud import PointCloud
from mirage_jax.memory.baselines.recurrent import Recurrent
from mirage_jax.memory.hash_grid.grid import HashGrid
from mirage_jax.memory.view_grid.grid import ViewGrid

FLOAT = HashGrid(cell_m=(0.4, 0.1), entries=(2**4, 2**5))
EXACT = dataclasses.replace(FLOAT, exact=True, radius_m=2.0)
VIEWS = ViewGrid(entries=3 * 2**4, views=2**3)
EXACT_VIEWS = dataclasses.replace(VIEWS, exact=True)


def some_state(memory):
  """A state with something in every table."""
  rng = np.random.default_rng(0)
  state = memory.init(jnp.eye(4).at[0, 3].set(2.0))
  filled = jax.tree.map(
    lambda x: jnp.asarray(rng.integers(0, 100, x.shape), x.dtype), state
  )
  return filled.replace(frame=state.frame, overflow=state.overflow)


@pytest.mark.parametrize(
  'memory',
  [FLOAT, EXACT, VIEWS, EXACT_VIEWS, Planes(size=8), Recurrent(patch=8)],
)
def test_what_is_saved_is_read_back(tmp_path, memory):
  state = some_state(memory)
  storage.save(tmp_path / 'm.safetensors', memory, state)
  again, found = storage.load(tmp_path / 'm.safetensors')
  assert again == memory
  chex.assert_trees_all_equal(found, state)
  assert [p.name for p in tmp_path.iterdir()] == ['m.safetensors']


def test_a_batch_of_one_is_a_scene(tmp_path):
  state = some_state(FLOAT)
  batch = jax.tree.map(lambda x: x[None], state)
  storage.save(tmp_path / 'm', FLOAT, batch)
  chex.assert_trees_all_equal(storage.load(tmp_path / 'm')[1], state)
  two = jax.tree.map(lambda x: jnp.stack([x, x]), state)
  with pytest.raises(ValueError, match='one file for each'):
    storage.save(tmp_path / 'm', FLOAT, two)


def test_an_overflown_memory_is_not_saved(tmp_path):
  state = some_state(EXACT).replace(overflow=jnp.ones((), bool))
  with pytest.raises(ValueError, match='left its range'):
    storage.save(tmp_path / 'm', EXACT, state)
  assert not list(tmp_path.iterdir())


def test_a_write_that_fails_leaves_the_old_file(tmp_path, monkeypatch):
  path, state = tmp_path / 'm', some_state(FLOAT)
  storage.save(path, FLOAT, state)
  before = path.read_bytes()

  def full(*_):
    raise OSError('No space left on device')

  monkeypatch.setattr(storage.os, 'replace', full)
  with pytest.raises(OSError, match='No space'):
    storage.save(path, FLOAT, FLOAT.init(jnp.eye(4)))
  assert path.read_bytes() == before and len(list(tmp_path.iterdir())) == 1


def test_no_file_is_said_so(tmp_path):
  with pytest.raises(FileNotFoundError, match='no memory file'):
    storage.load(tmp_path / 'nothing')


@pytest.mark.parametrize('kept', [0, 5, 100, -7])
def test_truncated_files_are_refused(tmp_path, kept):
  path = tmp_path / 'm'
  storage.save(path, FLOAT, some_state(FLOAT))
  path.write_bytes(path.read_bytes()[:kept])
  with pytest.raises(ValueError, match='truncated') as error:
    storage.load(path)
  assert '\n' not in str(error.value)


@pytest.mark.parametrize(
  'metadata, message',
  [
    ({}, 'no memory file'),
    ({'format': storage.FORMAT, 'version': '99'}, "version '99'"),
    ({'format': storage.FORMAT, 'version': storage.VERSION}, 'does not hold'),
    (
      {
        'format': storage.FORMAT,
        'version': storage.VERSION,
        'kind': 'hash_grid',
        'config': json.dumps(dataclasses.asdict(FLOAT)),
      },
      'does not hold',
    ),
  ],
)
def test_foreign_files_are_refused(tmp_path, metadata, message):
  path = tmp_path / 'm'
  arrays = {'frame': np.eye(3, dtype=np.float32)}
  safetensors.numpy.save_file(arrays, path, metadata=metadata)
  with pytest.raises(ValueError, match=message):
    storage.load(path)


@pytest.mark.parametrize(
  'memory',
  [PointCloud(capacity=2**3), FrameBank(2, 2, 2, 1, 4), Oracle(2, 2, 8)],
)
def test_a_memory_that_has_grown_is_read_at_its_size(tmp_path, memory):
  state = memory.reserve(memory.init(jnp.eye(4)), 100)
  assert state.capacity > memory.capacity
  state = state.replace(count=jnp.int32(state.capacity))
  storage.save(tmp_path / 'm', memory, state)
  again, found = storage.load(tmp_path / 'm')
  assert again == memory
  chex.assert_trees_all_equal(found, state)
