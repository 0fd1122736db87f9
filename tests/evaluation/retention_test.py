import numpy as np
import pytest

from mirage_jax.evaluation import cost, retention, writing
from mirage_jax.memory.hash_grid import HashGrid
from tests.evaluation.references_test import make_clip

MEMORY = HashGrid(cell_m=(0.5, 0.1), entries=(2**10, 2**12), steps=8)


def test_what_is_not_written_over_is_retained():
  """Chunks that look away from the first cost it nothing."""
  clip = make_clip(frames=6, holes=0)
  poses = clip.world_from_camera.copy()
  poses[1:, :3, 3] += 100
  chunks = writing.chunks_of(clip.replace(world_from_camera=poses), 1)
  curve, load = retention.retained_db(MEMORY, chunks)
  assert curve.shape == (6,) and load.shape == (2,)
  assert abs(retention.slope(curve)) < 0.05


def test_slope_is_exact_on_a_line():
  curves = 30 - 0.02 * np.arange(61)[None] + np.zeros((3, 1))
  table = retention.score(curves, np.zeros((3, 2)), 0)
  np.testing.assert_allclose(table['slope_db_per_write']['mean'], -0.02)
  assert table['psnr_last_db']['n'] == 3 and 'load_level_1' in table


def test_bytes_and_reads_do_not_grow():
  chunks = writing.chunks_of(make_clip(frames=4), 2)
  write = writing.make_write(MEMORY)
  states, sizes = cost.ages(MEMORY, write, chunks, kept=(1, 5), last=6)
  assert len(set(sizes)) == 1 and list(states) == [1, 5]
  times = cost.alternated_ms(states, lambda state: state.geometry, 3)
  assert all(len(x) == 3 for x in times.values())


def test_the_ratio_is_of_paired_medians():
  times = {5: np.array([1.0, 2.0, 9.0]), 100: np.array([1.1, 2.2, 9.9])}
  table = cost.score(times, 'read', 0)
  assert table['read_ratio_100_to_5']['mean'] == pytest.approx(1.1)


def test_a_memory_is_dearer_from_where_it_stays_so():
  constant = [5] * 8
  assert cost.dearer_from([1, 2, 4, 8, 8, 8, 8, 8], constant)['mean'] == 3
  assert cost.dearer_from([9] * 8, constant)['mean'] == 0
  assert cost.dearer_from([1] * 8, constant)['mean'] is None

  def times(*means):
    ages = zip(cost.TIMED, means, strict=False)
    return {f'read_ms_chunk_{age}': {'mean': x} for age, x in ages}

  ours = times(4, 4, 4, 4, 4)
  slower = lambda *means: cost.slower_from(times(*means), ours)['mean']
  assert slower(1, 2, 5, 6, 7) == cost.TIMED[2]
  assert slower(9, 1, 1, 1, 9) == cost.TIMED[4]
  assert slower(1, 1, 1, 1, 1) is None
