"""Laws of kept rollouts: the same bits, and played once."""

import chex
import jax
import numpy as np
import pytest

from mirage_jax.evaluation import rollout_cache
from mirage_jax.evaluation.closed_loop import load_clips
from mirage_jax.evaluation.rollouts import Rollout
from tests.evaluation.suites.calibration_test import knowing, silent
from tests.evaluation.suites.closed_loop_test import SOURCE

CLIPS = load_clips(SOURCE, [0, 1])


def counting(player):
  """The player, and how often it played."""
  calls = []

  def play(*args):
    calls.append(args)
    return player(*args)

  return play, calls


@pytest.mark.parametrize('player', [knowing(0.5), silent])
def test_what_was_played_is_read_back_and_not_played_again(tmp_path, player):
  player, calls = counting(player)
  kept = rollout_cache.kept(player, tmp_path, 'me')
  key = jax.random.key(3)
  first, again = (kept(CLIPS, 3, key) for _ in range(2))
  assert len(calls) == 1 and len(list(tmp_path.iterdir())) == 1
  chex.assert_trees_all_equal(*jax.tree.map(np.asarray, (first, again)))


def test_whatever_decides_a_rollout_names_it(tmp_path):
  names = {
    rollout_cache.digest('me', CLIPS, 3, jax.random.key(0)),
    rollout_cache.digest('you', CLIPS, 3, jax.random.key(0)),
    rollout_cache.digest('me', CLIPS, 4, jax.random.key(0)),
    rollout_cache.digest('me', CLIPS, 3, jax.random.key(1)),
    rollout_cache.digest(
      'me', CLIPS.replace(rgb=255 - CLIPS.rgb), 3, jax.random.key(0)
    ),
  }
  assert len(names) == 5


def test_a_damaged_file_is_played_again(tmp_path):
  player, calls = counting(knowing(0.5))
  kept = rollout_cache.kept(player, tmp_path, 'me')
  kept(CLIPS, 3, jax.random.key(0))
  (path,) = tmp_path.iterdir()
  path.write_bytes(path.read_bytes()[:1000])
  assert isinstance(kept(CLIPS, 3, jax.random.key(0)), Rollout)
  assert len(calls) == 2
