"""Laws of the changed suite: who never revises stays stale."""

import jax
import numpy as np
import pytest

from mirage_jax import worlds
from mirage_jax.evaluation.baselines import memories
from mirage_jax.evaluation.suites import changed
from tests.evaluation.suites.closed_loop_test import SIZE, pan

BEFORE = pan([0, 5] * 8, 0)
_PATCH = np.array(BEFORE.rgb)
_PATCH[:, 8:24, 8:24] = 255 - _PATCH[:, 8:24, 8:24]
AFTER = BEFORE.replace(rgb=_PATCH)
GUARDS = memories.make_baselines(SIZE, SIZE)


def test_a_memory_that_never_revises_stays_stale():
  found = changed.measure(GUARDS['copy_first_frame'], BEFORE, AFTER)
  assert all(share > 0.9 for share in found.values())
  assert list(found) == [f'stale@seen={k}' for k in changed.LOOKS]


def test_a_memory_that_believes_its_eyes_is_stale_only_before():
  found = changed.measure(GUARDS['frozen_video'], BEFORE, AFTER)
  assert found.pop('stale@seen=0') > 0.9
  assert all(share < 0.1 for share in found.values())


def test_an_oracle_is_never_stale():
  found = changed.measure(GUARDS['oracle'], BEFORE, AFTER)
  assert set(found.values()) == {0.0}


def test_a_place_that_is_hardly_seen_tells_nothing():
  assert changed.measure(GUARDS['frozen_video'], BEFORE, BEFORE) == {}
  few = np.zeros((7, 8, 8), bool)
  few[:] = True
  assert changed.split_views(few) is None


def test_looking_and_reading_share_no_frame():
  every = np.ones((20, 8, 8), bool)
  look, read = changed.split_views(every)
  assert len(read) == changed.VIEWS and len(look) == max(changed.LOOKS)
  assert not set(look) & set(read)


@pytest.mark.slow
def test_the_object_that_changes_was_the_largest_in_view():
  config = worlds.WorldConfig(
    frames=4, height=16, width=16, rays_per_pixel=1, paths=('random_walk',),
    movers=False,
  )  # fmt: skip
  clips = worlds.make_changed_clips(jax.random.key(3), config)
  before, after, moved = clips
  number = np.bincount(np.asarray(before.object_id).reshape(-1))
  gone = number[1:].argmax() + 1
  assert number[gone] > 0 and not (np.asarray(after.object_id) == gone).any()
  same = np.asarray(before.object_id) == np.asarray(after.object_id)
  assert (same | (np.asarray(before.object_id) == gone)).all()
  still = np.asarray(moved.object_id) == gone
  assert still.any() and (still != (before.object_id == gone)).any()
  place = np.flatnonzero(
    (before.object_position != moved.object_position).any((0, 2))
  )
  apart = (before.object_position - moved.object_position)[0, place]
  assert len(place) == 1
  np.testing.assert_allclose(np.linalg.norm(apart, axis=-1), 1, rtol=1e-3)
  for clip in (after, moved):
    np.testing.assert_array_equal(
      before.world_from_camera, clip.world_from_camera
    )
