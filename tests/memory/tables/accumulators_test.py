"""Sums of two words against Python's integers."""

import itertools

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mirage_jax.memory.tables import accumulators

ADD, MERGE = accumulators.add, accumulators.merge


def value(sums):
  """The integers that the words stand for."""
  low = np.asarray(sums.low).astype(object)
  return np.asarray(sums.high).astype(object) * 2**32 + low


def wide(number, bits=48):
  """A sum that holds `number`."""
  zero = accumulators.zeros(1, 1, bits)
  return zero.replace(
    low=jnp.full((1, 1), number % 2**32, jnp.uint32),
    high=jnp.full((1, 1), number >> 32, zero.high.dtype),
  )


@settings(max_examples=50, deadline=None)
@given(st.integers(-(2**46), 2**46), st.integers(-(2**31), 2**31 - 1))
def test_addition_is_that_of_integers(start, delta):
  sums, over = ADD(wide(start), jnp.array([[delta]], jnp.int32))
  assert value(sums)[0, 0] == start + delta and not over


@settings(max_examples=50, deadline=None)
@given(st.integers(-(2**45), 2**45), st.integers(-(2**45), 2**45))
def test_merging_is_addition(first, second):
  sums, over = MERGE(wide(first), wide(second))
  assert value(sums)[0, 0] == first + second and not over
  expected = np.float32(first + second)
  np.testing.assert_allclose(
    accumulators.to_float(sums), expected, rtol=1e-5, atol=2.0**10
  )


@pytest.mark.parametrize('bits', [40, 48])
def test_overflow_is_noticed_at_both_ends(bits):
  most = 2 ** (bits - 1) - 1
  one = jnp.array([[1]], jnp.int32)
  assert not ADD(wide(most - 1, bits), one)[1]
  assert ADD(wide(most, bits), one)[1]
  assert ADD(wide(-most - 1, bits), -one)[1]
  assert MERGE(wide(most, bits), wide(1, bits))[1]
  assert accumulators.capacity(1, bits) == most


def test_pieces_cover_everything_and_fit_a_word():
  parts = accumulators.pieces(1_000_000, 16_065)
  assert parts[0].start == 0 and parts[-1].stop == 1_000_000
  for a, b in itertools.pairwise(parts):
    assert a.stop == b.start
  assert max(p.stop - p.start for p in parts) * 16_065 < 2**31
