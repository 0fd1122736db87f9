import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mirage_jax.data.episodes import (
  cut_episode,
  plan_episode,
  returned,
  visibility,
)
from tests.data.walk import textured_wall_clip, there_and_back

RETURNING = visibility(textured_wall_clip(there_and_back()))
LEAVING = visibility(textured_wall_clip(np.linspace(0, 4, 24)))


def plan(seed, seen=RETURNING, **changes):
  sizes = {'history': 6, 'context': 3, 'target': 4, 'revisit_fraction': 1.0}
  return plan_episode(np.random.default_rng(seed), seen, **(sizes | changes))


@settings(max_examples=60, deadline=None)
@given(
  seed=st.integers(0, 2**31),
  history=st.integers(0, 30),
  context=st.integers(1, 8),
  target=st.integers(1, 8),
  revisit_fraction=st.sampled_from([0.0, 0.5, 1.0]),
)
def test_history_then_context_then_target(
  seed, history, context, target, revisit_fraction
):
  drawn = plan(
    seed,
    history=history,
    context=context,
    target=target,
    revisit_fraction=revisit_fraction,
  )
  parts = (drawn.history, drawn.context, drawn.target)
  assert [len(part) for part in parts] == [history, context, target]
  run = np.concatenate([drawn.context, drawn.target])
  np.testing.assert_array_equal(np.diff(run), 1)
  assert run[0] >= 0 and run[-1] < 24
  assert (np.diff(drawn.history) >= 0).all()
  before_target = run[0] if run[0] > 0 else drawn.target[0]
  assert (drawn.history < before_target).all()
  if history <= run[0]:
    assert len(np.unique(drawn.history)) == history


def test_a_revisit_sees_what_its_history_saw_and_its_window_did_not():
  """And the history holds the frames that saw it."""
  for seed in range(30):
    drawn = plan(seed)
    assert drawn.revisit >= 0.1
    start, window = int(drawn.target[0]), 3
    back = returned(RETURNING, start, window, 4)
    by_history = back[:, np.unique(drawn.history)].any(-1).mean()
    assert by_history >= 0.9 * back.any(-1).mean()
    np.testing.assert_allclose(back.any(-1).mean(), drawn.revisit)


def test_random_episodes_reach_every_place():
  starts = [plan(s, revisit_fraction=0.0).target[0] for s in range(300)]
  assert set(starts) == set(range(3, 21))


def test_a_clip_without_revisits_gives_other_targets():
  drawn = [plan(seed, LEAVING) for seed in range(20)]
  assert all(d.revisit == 0 for d in drawn)
  assert len({d.target[0] for d in drawn}) > 3


def test_the_same_rng_gives_the_same_plan():
  for first, second in zip(plan(3), plan(3), strict=True):
    np.testing.assert_array_equal(first, second)


def test_a_clip_too_short_is_refused():
  with pytest.raises(ValueError, match='24 frames is too short for 20'):
    plan(0, context=20, target=5)


def test_every_frame_sees_its_own_points():
  index = np.arange(len(RETURNING))
  assert RETURNING[index, :, index].all()


def test_visibility_is_the_overlap_of_two_views():
  """Turned by an angle, 90-degree views share what lies in both cones."""
  seen = visibility(textured_wall_clip([0.0, 0.4, np.pi]))
  assert 0.4 < seen[0, :, 1].mean() < 0.9
  assert not seen[0, :, 2].any()


def test_a_nearer_surface_hides_what_is_behind():
  clip = textured_wall_clip([0.0, 0.0])
  depth_m = np.array(clip.depth_m)
  depth_m[1] *= 0.5
  seen = visibility(clip.replace(depth_m=depth_m))
  assert not seen[0, :, 1].any() and not seen[1, :, 0].any()


def test_movers_and_missing_depth_are_no_landmarks():
  clip = textured_wall_clip([0.0, 0.0])
  dynamic = np.zeros_like(clip.dynamic)
  dynamic[0] = True
  assert not visibility(clip.replace(dynamic=dynamic))[0].any()
  depth_m = np.array(clip.depth_m)
  depth_m[0] = 0
  assert not visibility(clip.replace(depth_m=depth_m))[0].any()


def test_without_any_depth_views_still_overlap():
  clip = textured_wall_clip([0.0, 0.4, np.pi])
  blind = clip.replace(depth_m=np.zeros_like(clip.depth_m))
  seen = visibility(blind)
  assert seen[0, :, 0].all() and seen[0, :, 1].any()
  assert not seen[0, :, 2].any()


def test_an_episode_is_its_frames():
  clip = textured_wall_clip(there_and_back())
  clip = clip.replace(object_id=np.zeros_like(clip.depth_m, np.int32))
  drawn = plan(0)
  episode = cut_episode(clip, drawn, np.array([7, 2]))
  np.testing.assert_array_equal(episode.target.rgb, clip.rgb[drawn.target])
  np.testing.assert_array_equal(
    episode.history.time_s, clip.time_s[drawn.history]
  )
  np.testing.assert_array_equal(episode.key, [7, 2])
  assert episode.context.object_id is None
