"""Sums of written features and weights: float32, or exact integers."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp

from mirage_jax.arrays import Array, Float
from mirage_jax.memory.contract import check_alike
from mirage_jax.memory.tables import accumulators
from mirage_jax.memory.tables.accumulators import Wide

Sums = Wide | Array

# 8 bits: -1 ... 1 as 0 ... 255.
HALF_RANGE = 127.5


def empty(rows: int, columns: int, exact: bool, bits: int = 48) -> Sums:
  """Makes sums that are all zero: `Wide` of 40 or 48 bits, or float32."""
  if exact:
    return accumulators.zeros(rows, columns, bits)
  return jnp.zeros((rows, columns), jnp.float32)


def as_float(sums: Sums) -> Float[Array, 'e c']:
  """Converts sums of either kind to float32."""
  return accumulators.to_float(sums) if isinstance(sums, Wide) else sums


def merge(first: Any, second: Any, names: Sequence[str]) -> Any:
  """Adds the sums called `names` of two states of one frame and layout.

  Raises:
    ValueError: other frames or layouts.
  """
  check_alike(first, second)
  overflow, changed = first.overflow | second.overflow, {}
  for name in names:
    one, other = getattr(first, name), getattr(second, name)
    if isinstance(one, Wide):
      changed[name], over = accumulators.merge(one, other)
      overflow = overflow | over
    else:
      changed[name] = one + other
  return dataclasses.replace(first, overflow=overflow, **changed)


def quantise_features(
  features: Float[Array, '*t f'], exact: bool, dtype: Any = jnp.int32
) -> Array:
  """Makes a row of each point, of 0 ... 255 if `exact`."""
  rows = features.reshape(-1, features.shape[-1])
  if not exact:
    return rows
  return jnp.round((jnp.clip(rows, -1, 1) + 1) * HALF_RANGE).astype(dtype)


def unquantise(features: Array) -> Array:
  """Converts (means of) features of 0 ... 255 back to -1 ... 1."""
  return features / HALF_RANGE - 1.0
