"""Laws of states that grow: nothing is lost, and what is forgotten is gone."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mirage_jax.memory.baselines import growing


def rows(*values, capacity=None):
  table = np.zeros(capacity or len(values), np.int32)
  table[: len(values)] = values
  return {'x': jnp.asarray(table), 'y': jnp.asarray(table)[:, None] / 2}


def holding(*values, capacity=8):
  state = growing.init(jnp.eye(4), rows(capacity=capacity))
  every = jnp.ones(len(values), bool)
  return growing.write(state, rows(*values), every) if values else state


def test_rows_are_appended_in_order_without_the_unwanted():
  wanted = jnp.array([True, False, True])
  state = growing.write(holding(1, 2), rows(7, 8, 9), wanted)
  assert state.rows['x'].tolist() == [1, 2, 7, 9, 0, 0, 0, 0]
  assert state.rows['y'][:, 0].tolist() == [0.5, 1, 3.5, 4.5, 0, 0, 0, 0]
  assert (int(state.count), bool(state.overflow)) == (4, False)
  assert state.there.tolist() == [True] * 4 + [False] * 4


def test_rows_without_a_place_are_told():
  state = growing.write(
    holding(*range(1, 8)), rows(10, 11), jnp.array([True, True])
  )
  assert state.rows['x'].tolist() == [1, 2, 3, 4, 5, 6, 7, 10]
  assert (int(state.count), bool(state.overflow)) == (8, True)


def test_of_equal_rows_the_last_are_forgotten():
  wanted = jnp.array([True, True, True, True, False])
  state = growing.forget(holding(3, 1, 3, 2, 3, 5), rows(3, 5, 3, 4, 1), wanted)
  assert state.rows['x'].tolist() == [3, 1, 2, 0, 0, 0, 0, 0]
  assert int(state.count) == 3


def test_empty_rows_are_no_rows():
  state = growing.forget(holding(1, 2), rows(0, 0), jnp.ones(2, bool))
  assert state.rows['x'].tolist() == [1, 2, 0, 0, 0, 0, 0, 0]
  assert int(state.count) == 2


def test_any_bit_tells_rows_apart():
  rng = np.random.default_rng(0)
  table = rng.normal(size=(50, 20)).astype(np.float32)
  state = growing.init(jnp.eye(4), jnp.zeros((64, 20)))
  state = growing.write(state, jnp.asarray(table), jnp.ones(50, bool))
  other = table.copy()
  place = np.arange(50), rng.integers(0, 20, 50)
  other[place] = np.nextafter(other[place], np.float32(9))
  left = growing.forget(state, jnp.asarray(other), jnp.ones(50, bool))
  assert int(left.count) == 50
  assert int(growing.forget(left, left.rows, left.there).count) == 0


def test_capacity_doubles_until_it_is_enough():
  state = holding(1, 2, capacity=4)
  assert growing.reserve(state, 2) is state
  larger = growing.reserve(state, 15)
  assert larger.capacity == 32 and larger.rows['x'][:3].tolist() == [1, 2, 0]
  both = growing.merge(state, holding(5, capacity=4))
  assert both.rows['x'].tolist() == [1, 2, 5, 0, 0, 0, 0, 0]
  assert jax.tree.map(lambda x: x.shape, both.rows) == {'x': (8,), 'y': (8, 1)}


@pytest.mark.parametrize('capacity', [0, 12, -4])
def test_capacities_are_powers_of_two(capacity):
  with pytest.raises(ValueError, match=f'capacity is {capacity}'):
    growing.check_capacity(capacity)
