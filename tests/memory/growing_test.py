"""Laws of arrays that grow: nothing is lost, and what is removed is gone."""

import jax
import jax.numpy as jnp
import numpy as np

from mirage_jax.memory import growing


def table(*values, capacity=8):
  rows = np.zeros(capacity, np.int32)
  rows[: len(values)] = values
  return {'x': jnp.asarray(rows), 'y': jnp.asarray(rows)[:, None] / 2}


def test_rows_are_appended_in_order_without_the_unwanted():
  more = table(7, 8, 9, capacity=3)
  rows, count, over = growing.append(
    table(1, 2), jnp.int32(2), more, jnp.array([True, False, True])
  )
  assert rows['x'].tolist() == [1, 2, 7, 9, 0, 0, 0, 0]
  assert rows['y'][:, 0].tolist() == [0.5, 1, 3.5, 4.5, 0, 0, 0, 0]
  assert (int(count), bool(over)) == (4, False)


def test_rows_without_a_place_are_told():
  full = table(*range(1, 9))
  more = table(10, 11, capacity=2)
  rows, count, over = growing.append(
    full, jnp.int32(7), more, jnp.array([True, True])
  )
  assert rows['x'].tolist() == [1, 2, 3, 4, 5, 6, 7, 10]
  assert (int(count), bool(over)) == (8, True)


def test_of_equal_rows_the_last_are_removed():
  rows = table(3, 1, 3, 2, 3, 5)
  gone = table(3, 5, 3, 4, 1, capacity=5)
  wanted = jnp.array([True, True, True, True, False])
  left, count = growing.remove(rows, jnp.int32(6), gone, wanted)
  assert left['x'].tolist() == [3, 1, 2, 0, 0, 0, 0, 0]
  assert int(count) == 3


def test_empty_rows_are_no_rows():
  rows, gone = table(1, 2), table(0, 0, capacity=2)
  left, count = growing.remove(rows, jnp.int32(2), gone, jnp.ones(2, bool))
  assert left['x'].tolist() == rows['x'].tolist() and int(count) == 2


def test_any_bit_tells_rows_apart():
  rng = np.random.default_rng(0)
  rows = jnp.asarray(rng.normal(size=(1, 50)), jnp.float32)
  for i in range(50):
    other = np.array(rows)
    other[0, i] = np.nextafter(other[0, i], 9)
    pair = {'x': rows}, {'x': jnp.asarray(other)}
    left, _ = growing.remove(pair[0], jnp.int32(1), pair[1], jnp.ones(1, bool))
    assert bool((left['x'] == rows).all())


def test_capacity_doubles_until_it_is_enough():
  assert growing.capacity_for(4, 4) == 4
  assert growing.capacity_for(4, 17) == 32
  larger = growing.enlarge(table(1, 2), 16)
  assert larger['x'].tolist() == [1, 2] + [0] * 14
  assert jax.tree.map(lambda x: x.shape, larger) == {'x': (16,), 'y': (16, 1)}
