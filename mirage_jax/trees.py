"""Named leaves of pytrees: flat names, counts, differences, checksums.

A leaf's name is its path joined by '/': `params/blocks_0/attention/kernel`.
"""

import math
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from mirage_jax.arrays import Array

Tree = Any


def named_leaves(tree: Tree) -> list[tuple[str, Any]]:
  """`(name, leaf)` of every leaf, in the tree's own order."""
  paths = jax.tree_util.tree_flatten_with_path(tree)[0]
  return [
    (jax.tree_util.keystr(path, simple=True, separator='/'), leaf)
    for path, leaf in paths
  ]


def flatten(tree: Tree) -> dict[str, Any]:
  """The leaves by name."""
  return dict(named_leaves(tree))


def unflatten(leaves: Mapping[str, Any]) -> dict[str, Any]:
  """Nested dicts from names: the inverse of `flatten` for nested dicts."""
  tree: dict[str, Any] = {}
  for name, leaf in leaves.items():
    *folders, last = name.split('/')
    node = tree
    for folder in folders:
      node = node.setdefault(folder, {})
    node[last] = leaf
  return tree


def map_named(function, tree: Tree) -> Tree:
  """`function(name, leaf)` of every leaf, in a tree of the same structure."""
  structure = jax.tree.structure(tree)
  return structure.unflatten(function(*named) for named in named_leaves(tree))


def count_parameters(tree: Tree) -> int:
  """Counts the numbers in the leaves."""
  return sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(tree))


def num_bytes(tree: Tree) -> int:
  """Bytes of the leaves, without padding or replicas."""
  return sum(
    math.prod(leaf.shape) * jnp.dtype(leaf.dtype).itemsize
    for leaf in jax.tree.leaves(tree)
  )


def shapes(tree: Tree, shardings: Tree | None = None) -> Tree:
  """`ShapeDtypeStruct`s of the leaves, with `shardings` or those they have."""
  if shardings is None:
    shardings = jax.tree.map(lambda x: getattr(x, 'sharding', None), tree)
  return jax.tree.map(
    lambda x, s: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=s),
    tree,
    shardings,
  )


def first_difference(found: Tree, expected: Tree) -> str | None:
  """The first leaf whose shape differs, in words; None if none does.

  Compares names and shapes only, so it works on arrays, on
  `ShapeDtypeStruct`s and on a checkpoint's metadata alike.
  """
  have, want = flatten(found), flatten(expected)
  for name, leaf in want.items():
    if name not in have:
      return f'{name} is missing, expected shape {tuple(leaf.shape)}'
    if tuple(have[name].shape) != tuple(leaf.shape):
      return (
        f'{name} has shape {tuple(have[name].shape)}, '
        f'expected {tuple(leaf.shape)}'
      )
  for name, leaf in have.items():
    if name not in want:
      return f'{name} has shape {tuple(leaf.shape)}, expected no such leaf'
  return None


def checksum(x: Array) -> int:
  """An integer that changes with any bit of `x` or with its bits' order.

  A sum of odd multiples of the bits modulo 2^32: exact, so the same on any
  sharding of `x`. What one process can see is summed by it, without compiling.
  """
  if isinstance(x, jax.Array) and not x.is_fully_addressable:
    return int(_compiled_weighted_sum(x))
  return int(_weighted_sum(np.asarray(x), np))


def _weighted_sum(x, xp):
  """`checksum` with NumPy or jax.numpy as `xp`."""
  unsigned = np.dtype(f'uint{8 * x.dtype.itemsize}')
  if x.dtype == np.bool_:
    bits = x.astype(np.uint8)
  elif xp is np:
    bits = x.reshape(-1).view(unsigned)
  else:
    bits = jax.lax.bitcast_convert_type(x, unsigned)
  bits = bits.reshape(-1).astype(np.uint32)
  place = xp.arange(bits.size, dtype=np.uint32)
  odd = place * np.uint32(2654435761) | np.uint32(1)  # Knuth's multiplier
  return xp.sum((bits ^ (bits >> np.uint32(15))) * odd, dtype=np.uint32)


_compiled_weighted_sum = jax.jit(lambda x: _weighted_sum(x, jnp))


def checksums(tree: Tree) -> dict[str, int]:
  """The checksum of every leaf by name."""
  return {name: checksum(leaf) for name, leaf in named_leaves(tree)}


def fingerprint(tree: Tree) -> str:
  """Eight hex digits that differ when any bit of any leaf does."""
  total = 0
  for name, value in sorted(checksums(tree).items()):
    total = (total * 1_000_003 + value + sum(name.encode())) % 2**32
  return f'{total:08x}'
