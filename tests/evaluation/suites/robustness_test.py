"""Laws of disturbances: their size, and that the path ahead stays true."""

import jax
import numpy as np
import pytest

from mirage_jax.evaluation import closed_loop
from mirage_jax.evaluation.baselines import rollouts
from mirage_jax.evaluation.suites import robustness
from mirage_jax.evaluation.suites.closed_loop import ClosedLoop
from tests.evaluation.suites.closed_loop_test import SOURCE, contest

CLIPS = closed_loop.load_clips(SOURCE, [0, 1, 2])
OBSERVED = 5


def spoiled(kind, size):
  key = jax.random.key(0)
  return robustness.disturbance(kind, size)(CLIPS, OBSERVED, key)


@pytest.mark.parametrize('kind', robustness.CONDITIONS)
def test_only_observed_frames_are_spoiled_and_only_in_one_way(kind):
  clips = spoiled(kind, robustness.CONDITIONS[kind][-1])
  field = 'depth_m' if kind.startswith('depth') else 'world_from_camera'
  for name in ('rgb', 'depth_m', 'world_from_camera', 'intrinsics', 'time_s'):
    same = np.asarray(getattr(clips, name)) == getattr(CLIPS, name)
    assert same[:, OBSERVED:].all()
    assert same[:, :OBSERVED].all() == (name != field)


def test_sizes_are_what_they_say():
  given = slice(OBSERVED)
  ratio = spoiled('depth_noise', 0.05).depth_m / CLIPS.depth_m
  assert ratio[:, given].std() == pytest.approx(0.05, rel=0.05)
  missing = spoiled('depth_missing', 0.6).depth_m[:, given] == 0
  assert missing.mean() == pytest.approx(0.6, abs=0.05)
  poses = spoiled('pose_m', 0.1).world_from_camera[:, given]
  moved = poses - CLIPS.world_from_camera[:, given]
  size = np.sqrt((moved[..., :3, 3] ** 2).sum(-1).mean())
  assert size == pytest.approx(0.1, rel=0.3)
  poses = spoiled('pose_deg', 5.0).world_from_camera[:, given, :3, :3]
  true = CLIPS.world_from_camera[:, given, :3, :3]
  trace = np.einsum('btij,btij->bt', poses, true)
  angle = np.degrees(np.arccos(np.clip((trace - 1) / 2, -1, 1)))
  assert np.sqrt((angle**2).mean()) == pytest.approx(5.0, rel=0.3)
  np.testing.assert_allclose(
    poses @ poses.swapaxes(-1, -2), np.broadcast_to(np.eye(3), poses.shape),
    atol=1e-5,
  )  # fmt: skip


def test_conditions_are_suffixes_and_more_noise_is_worse(monkeypatch):
  sizes = {'depth_missing': (0.1, 0.9), 'pose_m': (0.1, 3.0)}
  monkeypatch.setattr(robustness, 'CONDITIONS', sizes)
  oracle = {'oracle_memory': rollouts.oracle_memory}

  def play(disturb):
    setting = contest(players={}, disturb=disturb)
    score = {'closed_loop': ClosedLoop()}
    return closed_loop.play(SOURCE, setting, score, oracle)['closed_loop']

  found = robustness.run(play)
  values = found.values['oracle_memory']
  mean = lambda condition: values[f'returned_psnr_db@{condition}'].mean()
  assert mean('depth_missing=0.1') > mean('depth_missing=0.9')
  assert mean('pose_m=0.1') > mean('pose_m=3')
  assert not any(name.startswith('psnr_db') for name in values)
  assert values['returned_psnr_db'].mean() > mean('pose_m=0.1')
  curve = found.curves['pose_m'].lines['oracle_memory']
  assert list(curve[0]) == [0, 0.1, 3] and (np.diff(curve[1]) < 0).all()
