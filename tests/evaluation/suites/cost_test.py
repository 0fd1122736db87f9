import functools

import jax
import numpy as np
import pytest

from mirage_jax.evaluation import writing
from mirage_jax.evaluation.suites import cost
from mirage_jax.memory.baselines.point_cloud import PointCloud
from mirage_jax.memory.hash_grid.grid import HashGrid
from tests.evaluation import rollouts_test
from tests.evaluation.baselines.readouts_test import make_clip

MEMORY = HashGrid(cell_m=(0.5, 0.1), entries=(2**10, 2**12), steps=8)
CLOUD = PointCloud(capacity=2**12, features=3 + 4)


def test_bytes_and_reads_do_not_grow():
  chunks = writing.chunks_of(make_clip(frames=4), 2)
  write = writing.make_write(MEMORY)
  states, sizes = cost.ages(MEMORY, write, chunks, kept=(1, 5), last=6)
  assert len(set(sizes)) == 1 and list(states) == [1, 5]


def test_calls_are_timed_in_turns():
  order = []
  calls = {x: functools.partial(order.append, x) for x in 'abc'}
  times = cost.alternated_ms(calls, 4)
  assert ''.join(order) == 'abc' + 'cbaabc' * 2
  assert all(len(x) == 4 for x in times.values())


def test_a_model_is_timed_with_the_memory_at_every_age():
  clip = jax.tree.map(lambda x: x[0], rollouts_test.wall())
  chunks = writing.chunks_of(clip, 3)
  compiled = rollouts_test.player(CLOUD).compiled
  aged = cost.make_aged(chunks, 5, CLOUD, compiled=compiled)
  assert len(aged.sizes) == 6
  assert set(aged.calls) == {(x, age) for x in cost.TIMES for age in (1, 5)}
  early, late = (aged.calls['generate', age]().rgb for age in (1, 5))
  assert early.shape == late.shape == (1, 3, 16, 16, 3)
  assert not np.array_equal(early, late)


def test_the_ratio_is_of_paired_medians():
  times = {5: np.array([1.0, 2.0, 9.0]), 100: np.array([1.1, 2.2, 9.9])}
  table = cost.score(times, 'read', 0)
  ratio = table['read_over_chunk_5@chunk=100']
  assert ratio['mean'] == pytest.approx(1.1)
  assert set(cost.against(table, table)) == {'slower_to_read_from_chunk'}


def test_a_memory_is_dearer_from_where_it_stays_so():
  constant = [5] * 8
  assert cost.dearer_from([1, 2, 4, 8, 8, 8, 8, 8], constant)['mean'] == 3
  assert cost.dearer_from([9] * 8, constant)['mean'] == 0
  assert cost.dearer_from([1] * 8, constant)['mean'] is None

  def times(*means):
    ages = zip(cost.TIMED, means, strict=False)
    return {f'read_ms@chunk={age}': {'mean': x} for age, x in ages}

  ours = times(4, 4, 4, 4, 4)
  slower = lambda *means: cost.slower_from(times(*means), ours)['mean']
  assert slower(1, 2, 5, 6, 7) == cost.TIMED[2]
  assert slower(9, 1, 1, 1, 9) == cost.TIMED[4]
  assert slower(1, 1, 1, 1, 1) is None
