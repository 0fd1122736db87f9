"""Laws of tables in parts: they say what whole tables say."""

import dataclasses

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mirage_jax import sharding
from mirage_jax.memory.contract import Views
from mirage_jax.memory.hash_grid.grid import HashGrid
from mirage_jax.memory.laws import make_observed
from mirage_jax.memory.tables import sharded

WHOLE = HashGrid(
  cell_m=(0.4, 0.1),
  entries=(2**10, 2**12),
  free_entries=(2**11,),
  steps=8,
  samples=1,
  refinements=0,
  fallbacks=0,
  far_m=6.0,
)
SIZE = 6, 7  # of a view; 8 parts share its rays unevenly


def in_parts(memory):
  return dataclasses.replace(memory, sharded=True)


def remember(memory, seeds=(0, 1), forgotten=()):
  """A state, and what it shows."""

  @jax.jit
  def play(views):
    state = memory.init(jnp.eye(4))
    for sign, seed in [(1, s) for s in seeds] + [(-1, s) for s in forgotten]:
      what = memory.observe(state, views[seed])
      state = (memory.write if sign > 0 else memory.forget)(state, what)
    return state, memory.read(state, Views.still(views[0].cameras, *SIZE))

  return play({seed: make_observed(seed) for seed in seeds})


@pytest.mark.parametrize('count, forgotten', [(2, ()), (8, (1,))])
def test_an_exact_memory_has_the_same_bits_in_parts(count, forgotten):
  memory = dataclasses.replace(WHOLE, exact=True)
  state, readout = remember(memory, forgotten=forgotten)
  mesh = sharding.make_mesh(data=8 // count, model=count)
  with jax.set_mesh(mesh):
    divided, shown = remember(in_parts(memory), forgotten=forgotten)
  rows = divided.geometry.low
  assert rows.addressable_shards[0].data.shape[0] == len(rows) // count
  chex.assert_trees_all_equal(*map(jax.device_get, (divided, state)))
  chex.assert_trees_all_close(shown, readout, atol=1e-4)
  assert np.asarray(readout.opacity).max() > 0.5


def test_an_overflow_in_one_part_is_known_to_all():
  memory = dataclasses.replace(WHOLE, exact=True)
  with jax.set_mesh(sharding.make_mesh(model=8)):
    state, _ = remember(in_parts(memory))
    full = jax.tree.map(jnp.copy, state)
    row = int(np.asarray(state.occupied.low[:, 0]).argmax())
    low, high = full.occupied.low, full.occupied.high
    full = full.replace(
      occupied=full.occupied.replace(
        low=low.at[row].set(2**32 - 1), high=high.at[row].set(127)
      )
    )
    what = memory.observe(state, make_observed(0))
    assert not state.overflow
    assert jax.jit(in_parts(memory).write)(full, what).overflow


def test_gradients_of_many_scenes_reach_what_was_written():
  both = jax.tree.map(
    lambda *x: jnp.stack(x), make_observed(0), make_observed(1)
  )

  def gradient(memory):
    def loss(features):
      def each(observed):
        state = memory.init(jnp.eye(4))
        state = memory.write(state, memory.observe(state, observed))
        return memory.read(state, Views.still(observed.cameras, *SIZE)).rgb

      return (jax.vmap(each)(both.replace(features=features)) ** 2).sum()

    return jax.jit(jax.grad(loss))(both.features)

  expected = gradient(WHOLE)
  with jax.set_mesh(sharding.make_mesh(data=2, model=4)):
    found = gradient(in_parts(WHOLE))
  assert np.abs(expected).max() > 1e-3
  np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_without_a_mesh_there_is_one_part():
  assert sharded.num_parts() == 1
  state = in_parts(WHOLE).init(jnp.eye(4))
  what = WHOLE.observe(state, make_observed(0))
  chex.assert_trees_all_equal(
    in_parts(WHOLE).write(state, what), WHOLE.write(state, what)
  )
