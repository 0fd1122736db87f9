from unittest import mock

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, PartitionSpec

from mirage_jax import sharding


@pytest.mark.parametrize('count', [1, 2, 4, 8])
def test_any_number_of_devices_makes_a_mesh(count):
  mesh = sharding.make_mesh(devices=jax.devices()[:count])
  assert mesh.axis_names == sharding.AXES
  assert dict(mesh.shape) == {'data': count, 'fsdp': 1, 'model': 1}
  assert set(mesh.axis_types) == {AxisType.Auto}


@pytest.mark.parametrize(
  'sizes', [(3, 1, 1), (-1, -1, 1), (-1, 3, 1), (0, 1, 1)]
)
def test_a_mesh_that_does_not_fit_is_refused(sizes):
  with pytest.raises(ValueError, match='does not fit 8 devices'):
    sharding.make_mesh(*sizes)


def test_axes_go_where_the_rules_say_and_odd_ones_stay_whole():
  mesh = sharding.make_mesh(data=2, fsdp=2, model=2)
  spec = sharding.partition(mesh, (8, 3, 6), ('batch', None, 'heads')).spec
  assert spec == PartitionSpec(('data', 'fsdp'), None, ('model',))
  spec = sharding.partition(mesh, (6, 3), ('batch', 'heads')).spec
  assert spec == PartitionSpec(None, None)


def test_no_mesh_axis_is_used_twice():
  mesh = sharding.make_mesh(data=2, fsdp=2, model=2)
  spec = sharding.partition(mesh, (8, 8), ('batch', 'width')).spec
  assert spec == PartitionSpec(('data', 'fsdp'), None)


def test_bad_names_are_refused():
  mesh = sharding.make_mesh()
  with pytest.raises(ValueError, match="unknown axis 'heds'; have batch"):
    sharding.partition(mesh, (8,), ('heds',))
  with pytest.raises(ValueError, match='give one name'):
    sharding.partition(mesh, (8, 8), ('batch',))


def test_parameters_are_born_in_parts():
  mesh = sharding.make_mesh(fsdp=4)

  def init():
    return {
      'kernel': jnp.ones((96, 256)),
      'odd': jnp.ones((129, 127)),
      'b': 1.0,
    }

  shapes = jax.eval_shape(init)
  shardings = sharding.parameter_shardings(mesh, shapes)
  made = jax.jit(init, out_shardings=shardings)()
  parts = {s.data.shape for s in made['kernel'].addressable_shards}
  assert parts == {(96, 64)}
  assert made['odd'].is_fully_replicated and made['b'].is_fully_replicated


@pytest.mark.parametrize('sizes', [(8, 1, 1), (2, 4, 1), (2, 2, 2)])
def test_sharded_equals_single_device(sizes):
  mesh = sharding.make_mesh(*sizes)
  x = np.arange(16.0 * 128, dtype=np.float32).reshape(16, 128) / 1000
  w = np.cos(np.arange(128.0 * 128, dtype=np.float32)).reshape(128, 128)

  def loss(w, x):
    return jnp.mean(jnp.tanh(x @ w) ** 2)

  wanted = jax.value_and_grad(loss)(w, x)
  shards = sharding.parameter_shardings(mesh, w)
  placed = jax.device_put(w, shards), sharding.place_batch(mesh, x)
  step = jax.jit(jax.value_and_grad(loss), out_shardings=(None, shards))
  chex.assert_trees_all_close(step(*placed), wanted, rtol=1e-5, atol=1e-6)


def test_a_batch_is_split_and_a_copy_is_whole():
  mesh = sharding.make_mesh(data=4, model=2)
  batch = sharding.place_batch(mesh, {'x': np.arange(8), 'y': jnp.ones((8, 3))})
  assert {s.data.shape for s in batch['y'].addressable_shards} == {(2, 3)}
  np.testing.assert_array_equal(batch['x'], np.arange(8))
  assert sharding.replicate(mesh, jnp.ones(3)).is_fully_replicated
  with pytest.raises(ValueError, match='a batch of 6 examples'):
    sharding.place_batch(mesh, {'x': np.arange(6)})


def chip(number, process):
  """As much of a device of another host as a mesh has to know."""
  about = {'id': number, 'process_index': process}
  return mock.Mock(jax.Device, **about, platform='cpu', device_kind='cpu')


def test_processes_do_not_share_an_example(monkeypatch):
  # 8 chips on hosts of 2 x 2, two hosts along the first axis of the torus.
  torus = [[chip(4 * x + y, x // 2) for y in range(2)] for x in range(4)]
  chips = np.array(torus)

  def place(sizes, devices, **_):  # rows of the torus along the last axis
    return np.array(devices).reshape(4, 2).T.reshape(sizes)

  monkeypatch.setattr(sharding.mesh_utils, 'create_device_mesh', place)
  devices = chips.ravel().tolist()
  as_placed = sharding.make_mesh(2, 2, 2, devices).devices
  assert as_placed.tolist() == place((2, 2, 2), devices).tolist()
  # Four along the torus are on two hosts: they go by hosts instead.
  by_host = sharding.make_mesh(2, 1, 4, devices).devices
  owners = [{x.process_index for x in group} for group in by_host[:, 0]]
  assert owners == [{0}, {1}]
  with pytest.raises(
    ValueError, match='mesh data=1, fsdp=1, model=8 has devices of several'
  ):
    sharding.make_mesh(1, 1, 8, devices)
