"""Lookups are counted as often as they are made."""

import jax
import jax.numpy as jnp

from mirage_jax.profiling import lookups

TABLE = jax.ShapeDtypeStruct((100, 3), jnp.float32)
AT = jax.ShapeDtypeStruct((7,), jnp.int32)
ROW = 3 * 4  # bytes


def test_rows_taken_count_once_and_rows_changed_twice():
  assert lookups.count(lambda t, at: t[at] + 1, TABLE, AT) == 7 * ROW
  changed = lookups.count(lambda t, at: t.at[at].add(t[at]), TABLE, AT)
  assert changed == 3 * 7 * ROW


def test_loops_and_branches_are_counted():
  def loop(table, at):
    return jax.lax.map(
      lambda i: jax.jit(lambda: table[at + i])(), jnp.arange(5)
    )

  def branch(table, at):
    return jax.lax.cond(
      at[0] > 3, lambda: table[at], lambda: table[:7] * table[at[:1]]
    )

  assert lookups.count(loop, TABLE, AT) == 5 * 7 * ROW
  found = lookups.count(branch, TABLE, AT)
  assert 7 * ROW <= found <= 7 * ROW + 16  # and `at[0]`
