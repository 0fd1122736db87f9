import time

import numpy as np

from mirage_jax.profiling import timing


def test_calls_alternate_after_one_that_compiles():
  calls = []
  seconds = timing.alternate(
    [lambda: calls.append('a'), lambda: calls.append('b')], repeats=2, rounds=2
  )
  assert seconds.shape == (2, 2) and (seconds >= 0).all()
  assert ''.join(calls) == 'ab' + 'aabb' + 'bbaa'


def test_seconds_are_those_of_one_call():
  seconds = timing.alternate([lambda: time.sleep(0.01)], repeats=2, rounds=3)
  assert (seconds >= 0.01).all()


def test_spread_is_the_median_and_its_quartiles():
  found = timing.spread(np.arange(5.0))
  assert (found.low, found.median, found.high, found.n) == (1, 2, 3, 5)
