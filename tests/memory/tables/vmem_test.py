"""A kernel finds and changes the same rows as XLA does."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.experimental import pallas

from mirage_jax import sharding
from mirage_jax.memory.contract import Views
from mirage_jax.memory.laws import make_observed
from mirage_jax.memory.tables import vmem
from mirage_jax.memory.view_grid.grid import ViewGrid


@pytest.fixture(autouse=True)
def interpreted(monkeypatch):
  """The kernel runs where there is no TPU."""
  call = functools.partial(pallas.pallas_call, interpret=True)
  monkeypatch.setattr(pallas, 'pallas_call', call)


def make_case(count: int, columns: int, asked: int):
  """A table, rows of which some are none and some repeat, and values."""
  make = np.random.default_rng(columns)
  table = make.integers(-99, 99, (count, columns)).astype(np.float32)
  at = make.integers(0, count + count // 8, asked)
  values = make.integers(-99, 99, (asked, columns)).astype(np.float32)
  return jnp.asarray(table), jnp.asarray(at), jnp.asarray(values)


@pytest.mark.parametrize('columns', [1, 5, 17, 128])
def test_rows_are_taken_added_to_and_replaced(columns):
  table, at, values = make_case(300, columns, 500)
  plain = vmem.make_table(table)
  packed = vmem.make_table(table, 'vmem')
  both = jnp.stack([at, at[::-1]])
  once = jnp.arange(300).at[0].set(300)
  assert packed.kernel == 'vmem'
  for give in (
    lambda x: x.unpack(),
    lambda x: x.take(both),
    lambda x: x.add(both, values).unpack(),
    lambda x: x.put(once, values[:300]).unpack(),
  ):
    np.testing.assert_array_equal(give(plain), give(packed))
  np.testing.assert_array_equal(plain.lines[:300], table)


def test_gradients_pass_lookups_and_sums():
  table, at, values = make_case(40, 3, 64)

  def loss(kernel):
    def of(table, values):
      found = vmem.make_table(table, kernel).add(at[None], values).take(at[:50])
      return jnp.sum(found**2)

    return jax.grad(of, (0, 1))(table, values)

  for plain, packed in zip(loss('plain'), loss('vmem'), strict=True):
    np.testing.assert_array_equal(plain, packed)
    assert np.abs(plain).max() > 0


def test_batches_keep_to_their_tables():
  table, at, values = make_case(40, 3, 64)

  def run(kernel):
    def of(table, at):
      return vmem.make_table(table, kernel).add(at[None], values).take(at)

    return jax.vmap(of)(
      jnp.stack([table, 2 * table]), jnp.stack([at, at[::-1]])
    )

  np.testing.assert_array_equal(run('plain'), run('vmem'))


def test_devices_of_a_mesh_keep_to_their_examples():
  table, at, values = make_case(40, 3, 64)
  factor = jnp.arange(8.0)

  def run(kernel, axes):
    def of(factor):
      found = vmem.make_table(factor * table, kernel)
      return found.add(at[None], values).take(at)

    return jax.jit(jax.vmap(of, spmd_axis_name=axes))(factor)

  whole = run('plain', None)
  mesh = sharding.make_mesh(data=2, fsdp=2, model=2)
  with jax.set_mesh(mesh):
    np.testing.assert_array_equal(whole, run('vmem', sharding.RULES['batch']))


def test_whole_numbers_and_truths_keep_their_kind():
  truths = jnp.arange(50) % 3 == 0
  words = jnp.arange(50, dtype=jnp.uint32) + jnp.uint32(2**31)
  at = jnp.array([4, 3, 49, 50])
  for column in (truths, words):
    found = vmem.make_table(column[:, None], 'vmem').take(at)[:, 0]
    assert found.dtype == column.dtype
    np.testing.assert_array_equal(found[:3], column[at[:3]])
    assert found[3] == 0


def test_arrays_are_taken_together():
  arrays = jnp.arange(50), jnp.arange(100.0).reshape(50, 2), jnp.ones(50)
  at = jnp.array([4, 3, 49, 50])
  plain = vmem.make_taker(arrays, 'plain')(at)
  for one, other in zip(
    plain, vmem.make_taker(arrays, 'vmem')(at), strict=True
  ):
    assert one.dtype == other.dtype
    np.testing.assert_array_equal(one, other)


def test_what_does_not_fit_stays_plain():
  assert vmem.make_table(jnp.zeros((4, 129)), 'vmem').kernel == 'plain'
  large = jax.eval_shape(
    lambda: vmem.make_table(jnp.zeros((2**20, 9)), 'vmem').lines
  )
  assert large.shape == (2**20, 9)


def test_an_unknown_kernel_is_told():
  with pytest.raises(ValueError, match="unknown kernel 'vnem'; have plain"):
    vmem.make_table(jnp.zeros((4, 3)), 'vnem')


@pytest.mark.slow
def test_a_view_grid_reads_the_same_by_the_kernel():
  observed = make_observed()
  views = Views.still(observed.cameras, 8, 10)
  grid = ViewGrid(entries=3 * 1024, rounds=4, views=64, visible=1024)
  results = []
  for kernel in vmem.KERNELS:
    memory = dataclasses.replace(grid, lookup=kernel)
    state = memory.init(jnp.eye(4))
    state = memory.write(state, memory.observe(state, observed))
    results.append((state, jax.jit(memory.read)(state, views)))
  jax.tree.map(np.testing.assert_array_equal, *results)
  assert results[0][1].opacity.mean() > 0.5
