import dataclasses

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mirage_jax.evaluation import rollouts
from mirage_jax.flow import Sampler
from mirage_jax.geometry.clips import Clip, take_frames
from mirage_jax.memory.baselines.frame_bank import FrameBank
from mirage_jax.memory.baselines.oracle import Oracle
from mirage_jax.memory.hash_grid.grid import HashGrid
from mirage_jax.models import rollout
from mirage_jax.models.world_model import init_params, make_pixel_model

SIZE, FRAMES = 16, 9
GRID = HashGrid(cell_m=(0.64, 0.16), entries=(2**10, 2**12), features=3 + 4)
TRUNK = {'width': 32, 'layers': 1, 'heads': 2}


def wall(b=2):
  """A textured wall 2 m ahead of a camera that slides along it."""
  x = np.arange(SIZE) / SIZE
  rgb = np.stack(np.broadcast_arrays(x, x[:, None], 0.5), -1) * 255
  pose = np.tile(np.eye(4, dtype=np.float32), (b, FRAMES, 1, 1))
  pose[:, :, 0, 3] = np.arange(FRAMES) * 0.02
  return Clip(
    rgb=np.tile(rgb.astype(np.uint8), (b, FRAMES, 1, 1, 1)),
    depth_m=np.full((b, FRAMES, SIZE, SIZE), 2.0, np.float32),
    intrinsics=np.tile(np.float32([0.8, 0.8, 0.5, 0.5]), (b, FRAMES, 1)),
    world_from_camera=pose,
    time_s=np.tile(np.arange(FRAMES, dtype=np.float32), (b, 1)),
  )


def player(memory, **options):
  model = make_pixel_model(transformer=TRUNK, memory=memory, learned_features=4)
  params = init_params(model, jax.random.key(0), SIZE, SIZE)
  # Away from zero initialisation, where no input matters.
  params = jax.tree.map(
    lambda x: x + 0.1 * jnp.sin(jnp.arange(x.size)).reshape(x.shape), params
  )
  compiled = rollout.CompiledModel(model, params, Sampler(steps=2), 2, 3)
  return rollouts.ModelPlayer(compiled, **options)


@pytest.fixture(scope='module')
def alone_and_told():
  told = []
  return player(None, progress=lambda *x: told.append(x)), told


@pytest.fixture(scope='module')
def remembering():
  return player(GRID)


def test_every_frame_after_the_observed_ones_is_generated(remembering):
  clip = wall()
  made = remembering(clip, 4, jax.random.key(0))  # 5 frames: chunks of 3 and 2
  rest = take_frames(clip, slice(4, None), axis=1)
  assert made.clip.rgb.shape == rest.rgb.shape
  assert made.clip.rgb.dtype == np.uint8
  np.testing.assert_array_equal(
    made.clip.world_from_camera, rest.world_from_camera
  )
  np.testing.assert_array_equal(made.clip.time_s, rest.time_s)
  assert made.readout.depth_m.shape == rest.depth_m.shape


def test_the_memory_shows_the_observed_wall(remembering):
  made = remembering(wall(), 4, jax.random.key(0))
  assert float((made.readout.opacity[:, 0] > 0.5).mean()) > 0.5
  shown = made.readout.depth_m[:, 0][made.readout.opacity[:, 0] > 0.5]
  assert abs(float(np.median(shown)) - 2.0) < 0.2


def test_the_same_key_gives_the_same_video_and_another_one_does_not(
  remembering,
):
  first, again, other = (
    remembering(wall(), 4, jax.random.key(i)).clip for i in (0, 0, 1)
  )
  chex.assert_trees_all_equal(first, again)
  assert (first.rgb != other.rgb).any()


def test_the_future_does_not_reach_the_model(remembering):
  clip = wall()
  changed = clip.replace(rgb=clip.rgb.copy())
  changed.rgb[:, 4:] = 0
  first, second = (
    remembering(c, 4, jax.random.key(0)) for c in (clip, changed)
  )
  chex.assert_trees_all_equal(first.clip, second.clip)


def test_generated_frames_enter_the_memory_unless_told_otherwise(remembering):
  without = dataclasses.replace(remembering, writes_generated=False)
  first, second = (
    player(wall(), 4, jax.random.key(0)) for player in (remembering, without)
  )
  # The first chunk comes before anything generated could have been written.
  np.testing.assert_array_equal(first.clip.rgb[:, :3], second.clip.rgb[:, :3])
  same = jax.tree.map(
    lambda a, b: bool((np.asarray(a) == np.asarray(b)).all()),
    first.states,
    second.states,
  )
  assert not all(jax.tree.leaves(same))


def test_without_a_memory_only_the_window_reaches_the_model(alone_and_told):
  alone, _ = alone_and_told
  clip = wall()
  changed = clip.replace(rgb=clip.rgb.copy())
  changed.rgb[:, :2] = 0  # before the window of frames 2, 3
  first, second = (alone(c, 4, jax.random.key(0)) for c in (clip, changed))
  assert first.readout is None and first.states is None
  chex.assert_trees_all_equal(first.clip, second.clip)


def test_one_observed_frame_fills_the_context(remembering):
  made = remembering(wall(), 1, jax.random.key(0))
  assert made.clip.rgb.shape[1] == FRAMES - 1
  context = rollout.last_frames(take_frames(wall(), slice(1), axis=1), 3)
  assert context.rgb.shape[1] == 3 and context.dynamic is not None


def test_progress_is_told_after_every_chunk(alone_and_told):
  alone, told = alone_and_told
  told.clear()
  alone(wall(), 4, jax.random.key(0))
  assert told == [(1, 2), (2, 2)]


@pytest.mark.parametrize('observed', [0, FRAMES])
def test_nothing_to_see_or_to_generate_is_refused(observed, alone_and_told):
  with pytest.raises(ValueError, match=f'observed={observed}'):
    alone_and_told[0](wall(), observed, jax.random.key(0))


def test_an_oracle_is_told_what_will_come():
  clip = wall()
  made = player(Oracle(SIZE, SIZE, capacity=4))(clip, 4, jax.random.key(0))
  assert (made.readout.confidence == 1).all() and made.readout.retrieved is None
  rest = take_frames(clip, slice(4, None), axis=1)
  shown = np.round((np.asarray(made.readout.rgb) + 1) * 127.5)
  np.testing.assert_array_equal(shown.astype(np.uint8), rest.rgb)


def test_a_bank_is_played_and_keeps_what_was_generated():
  bank = FrameBank(SIZE, SIZE, frames=2, context_frames=2, capacity=4)
  made = player(bank)(wall(), 4, jax.random.key(0))
  # 4 observed and 5 generated: the last of 2 chunks of 3 is cut to fit.
  assert made.states.count.tolist() == [9, 9]
  generated = made.states.rows.generated[0].tolist()
  assert generated == [False] * 4 + [True] * 5 + [False] * 7
  assert not made.states.overflow.any()
