import functools

import jax.numpy as jnp
import numpy as np
import pytest

from mirage_jax.evaluation import closed_loop, frame_scores
from mirage_jax.evaluation.baselines import rollouts
from mirage_jax.evaluation.reports import tables
from mirage_jax.evaluation.rollouts import Rollout
from mirage_jax.evaluation.suites import own_return
from mirage_jax.evaluation.suites.closed_loop import ClosedLoop
from mirage_jax.evaluation.suites.exploration import Exploration
from mirage_jax.geometry.clips import Clip, take_frames
from mirage_jax.memory.contract import Readout

SIZE = 32
YAWS = [0, 0, 3, 60, 120, 180, 180, 120, 60, 3, 0, 0]


def pan(yaws_deg, seed):
  """A camera that turns inside a painted sphere of 4 m."""
  yaw = np.deg2rad(np.asarray(yaws_deg, np.float64))
  t = len(yaw)
  pose = np.tile(np.eye(4), (t, 1, 1))
  pose[:, 0, 0] = pose[:, 2, 2] = np.cos(yaw)
  pose[:, 0, 2], pose[:, 2, 0] = np.sin(yaw), -np.sin(yaw)
  u = ((np.arange(SIZE) + 0.5) / SIZE - 0.5) / 0.5
  x, y = np.meshgrid(u, u, indexing='xy')
  local = np.stack([x, y, np.ones_like(x)], -1)
  depth = 4.0 / np.linalg.norm(local, axis=-1)
  world = np.einsum('tij,hwj->thwi', pose[:, :3, :3], local * depth[..., None])
  colour = 127 + 100 * np.sin(world[..., [0, 2, 1]] * 0.7 + seed)
  return Clip(
    rgb=colour.round().astype(np.uint8),
    depth_m=np.tile(depth, (t, 1, 1)).astype(np.float32),
    intrinsics=np.full((t, 4), 0.5, np.float32),
    world_from_camera=pose.astype(np.float32),
    time_s=np.arange(t, dtype=np.float32),
  )


SOURCE = [pan(YAWS, seed) for seed in range(3)]


def noisy_truth(scale):
  """A player that knows the truth up to noise."""

  def play(clips, observed, key):
    rest = take_frames(clips, slice(observed, None), axis=1)
    noise = np.random.default_rng(0).normal(0, scale, rest.rgb.shape)
    rgb = np.clip(rest.rgb + noise, 0, 255).astype(np.uint8)
    return Rollout(rest.replace(rgb=jnp.asarray(rgb)))

  return play


def contest(**changes):
  settings = {
    'players': {'good': noisy_truth(5.0), 'bad': noisy_truth(60.0)},
    'windows': [(2, 3)],
    'observed': 3,
    'episodes': 3,
    'batch': 3,
    'examples': 1,
  }
  return closed_loop.ClosedLoopSetup(**{**settings, **changes})


WINDOWS = {'closed_loop': (2, 3), 'exploration': (2, 3), 'own_return': (1, 1)}


def test_a_perfect_readout_of_half_the_pixels_covers_half():
  clip = closed_loop.load_clips(SOURCE, [0, 1])
  mask = np.ones(clip.depth_m.shape, bool)
  opacity = np.zeros(clip.depth_m.shape, np.float32)
  opacity[..., : SIZE // 2] = 1.0
  rgb = np.where(opacity[..., None] > 0, clip.rgb / 127.5 - 1.0, 0.0)
  readout = Readout(
    features=rgb.astype(np.float32),
    depth_m=clip.depth_m * 1.1,
    opacity=opacity,
    confidence=opacity,
  )
  found = frame_scores.score_readout(clip, readout, mask)
  np.testing.assert_allclose(found['readout_coverage'], 0.5)
  assert (found['readout_psnr_db'] > 55).all()
  np.testing.assert_allclose(found['readout_depth_median_rel'], 0.1, atol=1e-4)


@functools.cache
def played(name):
  score = {
    'closed_loop': ClosedLoop,
    'exploration': Exploration,
    'own_return': own_return.OwnReturn,
  }[name]()
  setting = contest(windows=[WINDOWS[name]])
  return closed_loop.play(SOURCE, setting, {name: score}, rollouts.BASELINES)[
    name
  ]


def mean(suite, player, metric):
  return float(np.nanmean(played(suite).values[player][metric]))


@pytest.mark.parametrize(
  'metric,sign',
  [
    ('returned_psnr_db', 1),
    ('returned_lpips', -1),
    ('returned_ssim', 1),
    ('psnr_db', 1),
    ('lpips', -1),
  ],
)
def test_more_noise_is_worse_in_every_metric(metric, sign):
  good, bad = (mean('closed_loop', p, metric) for p in ('good', 'bad'))
  assert sign * (good - bad) > 0


def test_one_seed_gives_the_same_table_bit_for_bit():
  def table(name):
    score = {
      'closed_loop': ClosedLoop,
      'exploration': Exploration,
    }[name](seed=5)
    setting = contest(windows=[WINDOWS[name]])
    result = closed_loop.play(SOURCE, setting, {name: score}, {})[name]
    return repr(tables.summarise(result, ['good', 'bad'], seed=5))

  for name in ('closed_loop', 'exploration'):
    assert table(name) == table(name)


def test_the_baselines_stand_in_the_same_table_in_their_order():
  names = set(played('closed_loop').values)
  assert names == {'good', 'bad', *rollouts.BASELINES}
  scores = [
    mean('closed_loop', name, 'returned_psnr_db')
    for name in ('oracle_memory', 'frozen_video')
  ]
  assert scores[0] > 28 and scores[1] < scores[0]


def test_returned_frames_are_counted_and_kept_for_videos():
  result = played('closed_loop')
  # Yaw 60 returns a half or less; 3, 0, 0 return nearly all, but the last
  # chunk's window holds none of them.
  assert result.facts['returned_frames'] == 3 * 3
  assert len(result.examples) == 1
  example = result.examples[0]
  assert example.mask.shape == (9, SIZE, SIZE)
  assert set(example.rollouts) == set(result.values)
  for values in result.values.values():
    assert all(len(x) == 3 for x in values.values())


def test_quality_is_told_by_age_and_by_frame():
  curves = played('closed_loop').curves
  ages, scores = curves['since_seen'].lines['good']
  assert len(ages) and min(ages) > 2 and (scores > 25).all()
  frames, _ = curves['frame'].lines['good']
  np.testing.assert_array_equal(frames, np.arange(1, 10))


@pytest.mark.parametrize(
  ('suite', 'distance'),
  [
    ('closed_loop', 'returned_region_kid'),
    ('closed_loop', 'returned_region_frechet'),
    ('exploration', 'kid'),
    ('exploration', 'frechet'),
    ('exploration', 'clip_frechet'),
  ],
)
def test_distances_of_sets_tell_real_from_noisy_frames(suite, distance):
  sampled = played(suite).sampled
  good, bad = (sampled[p][distance].value for p in ('good', 'bad'))
  assert bad > good


def test_exploration_scores_what_nobody_saw():
  assert mean('exploration', 'good', 'fresh_psnr_db') > 25


def test_own_return_asks_for_agreement_with_oneself():
  own = functools.partial(mean, 'own_return')
  assert own('ground_truth', 'own_psnr_db') > 35
  assert own('good', 'own_psnr_db') > own('bad', 'own_psnr_db') + 3
  assert own('ground_truth', 'own_contrast_db') > 5


def test_a_frozen_video_gains_nothing_by_coming_back():
  values = played('own_return').values['frozen_video']
  np.testing.assert_allclose(values['own_contrast_db'], 0, atol=1.5)


def test_a_consistent_fiction_is_a_perfect_own_return():
  def fiction(clips, observed, key):
    rest = take_frames(clips, slice(observed, None), axis=1)
    return Rollout(rest.replace(rgb=255 - np.asarray(rest.rgb)))

  alone = contest(players={'fiction': fiction}, windows=[(1, 1)])
  score = own_return.OwnReturn()
  result = closed_loop.play(SOURCE, alone, {'own': score}, {})['own']
  assert result.values['fiction']['own_psnr_db'][0] > 35


def test_more_episodes_than_clips_are_refused():
  with pytest.raises(ValueError, match='expected 1 to 3'):
    closed_loop.play(SOURCE, contest(episodes=4), {}, {})


def test_nothing_left_to_generate_is_refused():
  with pytest.raises(ValueError, match='observed=12 of clips of 12'):
    closed_loop.play(SOURCE, contest(observed=12), {}, {})


def test_several_windows_leave_out_what_any_model_saw():
  first = closed_loop.joined_windows(12, contest())
  both = closed_loop.joined_windows(12, contest(windows=[(2, 3), (1, 1)]))
  assert (both | first == both).all() and both.sum() > first.sum()
