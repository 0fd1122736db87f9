"""Laws of named trees: names are unique and invertible, checksums notice."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import NamedSharding, PartitionSpec

from mirage_jax import sharding, trees

TREE = {
  'a': {'kernel': jnp.ones((2, 3)), 'bias': jnp.zeros(3, jnp.bfloat16)},
  'b': {'c': {'scale': jnp.arange(4)}},
}


def test_unflatten_inverts_flatten():
  again = trees.unflatten(trees.flatten(TREE))
  assert jax.tree.structure(again) == jax.tree.structure(TREE)
  assert list(trees.flatten(TREE)) == ['a/bias', 'a/kernel', 'b/c/scale']


def test_counts():
  assert trees.count_parameters(TREE) == 13
  assert trees.num_bytes(TREE) == 4 * 6 + 2 * 3 + 4 * 4


def test_map_named_keeps_the_structure():
  names = trees.map_named(lambda name, leaf: f'{name} {leaf.ndim}', TREE)
  assert names['b']['c']['scale'] == 'b/c/scale 1'


@pytest.mark.parametrize(
  'change, words',
  [
    ({'a/kernel': jnp.ones((3, 2))}, 'a/kernel has shape (3, 2), expected (2'),
    ({'a/kernel': None}, 'a/kernel is missing, expected shape (2, 3)'),
    ({'d/w': jnp.ones(5)}, 'd/w has shape (5,), expected no such leaf'),
  ],
)
def test_first_difference_names_the_leaf_and_both_shapes(change, words):
  leaves = trees.flatten(TREE) | change
  leaves = {k: v for k, v in leaves.items() if v is not None}
  assert trees.first_difference(TREE, TREE) is None
  found = trees.first_difference(trees.unflatten(leaves), TREE)
  assert found is not None and found.startswith(words)


@pytest.mark.parametrize('dtype', ['float32', 'bfloat16', 'int32', 'bool'])
def test_checksum_notices_any_bit_and_any_order(dtype):
  rng = np.random.default_rng(0)
  bits = rng.integers(0, 2, 64) if dtype == 'bool' else rng.normal(size=64) * 9
  x = np.asarray(jnp.asarray(bits, dtype))
  whole = trees.checksum(x)
  assert int(trees._compiled_weighted_sum(x)) == whole
  raw = x.view(np.uint8)
  for place in rng.integers(0, raw.size, 20):
    changed = raw.copy()
    changed[place] ^= 1 if dtype == 'bool' else 1 << rng.integers(8)
    assert trees.checksum(changed.view(x.dtype)) != whole
  order = np.argsort(x.astype(np.float32), kind='stable')
  assert trees.checksum(x[order]) != whole


def test_checksum_does_not_depend_on_the_sharding():
  x = jnp.asarray(np.random.default_rng(0).normal(size=(16, 8)))
  mesh = sharding.make_mesh()
  parts = jax.device_put(x, NamedSharding(mesh, PartitionSpec('data')))
  assert trees.checksum(parts) == trees.checksum(x)
  assert int(trees._compiled_weighted_sum(parts)) == trees.checksum(x)


def test_fingerprint_notices_a_leaf_that_moved():
  a, b = jnp.ones(3), jnp.zeros(3)
  assert trees.fingerprint({'a': a, 'b': b}) == trees.fingerprint(
    {'b': b, 'a': a}
  )
  assert trees.fingerprint({'a': a, 'b': b}) != trees.fingerprint(
    {'a': b, 'b': a}
  )


def test_shapes_carry_shardings():
  mesh = sharding.make_mesh()
  wanted = sharding.parameter_shardings(mesh, TREE)
  shapes = trees.shapes(TREE, wanted)
  assert shapes['a']['kernel'].sharding == wanted['a']['kernel']
  assert trees.shapes(TREE)['a']['bias'].dtype == jnp.bfloat16
