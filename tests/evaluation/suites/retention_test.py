import numpy as np

from mirage_jax.evaluation import writing
from mirage_jax.evaluation.baselines import memories
from mirage_jax.evaluation.suites import retention
from mirage_jax.memory.hash_grid.grid import HashGrid
from tests.evaluation.baselines.readouts_test import make_clip

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


def test_guards_keep_what_is_theirs_to_keep():
  """A wall of another picture each chunk: one keeps the first, one the last."""
  clip = make_clip(frames=4, holes=0)
  chunks = writing.chunks_of(clip, 1)
  made = memories.make_baselines(*clip.depth_m.shape[-2:])
  curves = {k: retention.retained_db(v, chunks)[0] for k, v in made.items()}
  for name in ('oracle', 'copy_first_frame'):
    assert (curves[name] > 40).all()
  assert curves['frozen_video'][0] > 40 > curves['frozen_video'][-1]


def test_slope_is_exact_on_a_line():
  curves = 30 - 0.02 * np.arange(61)[None] + np.zeros((3, 1))
  table = retention.score(curves, np.zeros((3, 2)), 0)
  np.testing.assert_allclose(table['slope_db_per_write']['mean'], -0.02)
  assert table['psnr_last_db']['n'] == 3 and 'load@level=1' in table
