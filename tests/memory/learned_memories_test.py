"""Laws of memories that learn how to write or read: planes, recurrent."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mirage_jax.geometry.clips import Clip
from mirage_jax.memory.baselines.planes import Planes
from mirage_jax.memory.baselines.recurrent import Recurrent
from mirage_jax.memory.laws import make_observed
from mirage_jax.models.codec import fill_masks
from mirage_jax.models.world_model import init_params, make_pixel_model

SIZE = 16
PLANES = Planes(features=7, size=32, samples=12, width=16, rendered=4)
RECURRENT = Recurrent(patch=8, heads=2, keys=16, values=4)
MEMORIES = [PLANES, RECURRENT]
TRUNK = {'width': 32, 'layers': 1, 'heads': 2}


@functools.cache
def model_of(memory):
  """A model around the memory, away from zero initialisation."""
  model = make_pixel_model(transformer=TRUNK, memory=memory, learned_features=4)
  params = init_params(model, jax.random.key(0), SIZE, SIZE)
  leaves, tree = jax.tree.flatten(params)
  keys = jax.random.split(jax.random.key(1), len(leaves))
  moved = [
    x + 0.2 * jax.random.normal(k, x.shape)
    for x, k in zip(leaves, keys, strict=True)
  ]
  return model, jax.tree.unflatten(tree, moved)


def clip_of(seed):
  observed = make_observed(seed, frames=2, height=SIZE, width=SIZE)
  cameras, features = observed.cameras, observed.features
  return fill_masks(
    Clip(
      rgb=jnp.asarray((features + 1) * 127.5, jnp.uint8),
      depth_m=jnp.asarray(observed.depth_m),
      intrinsics=cameras.intrinsics,
      world_from_camera=cameras.world_from_camera,
      time_s=jnp.arange(2.0),
    )
  )


@functools.cache
def compiled(memory):
  """Jitted write and read."""
  model, _ = model_of(memory)

  def write(params, state, clip):
    return model.apply(params, state, clip, method='write')

  def read(params, state, cameras):
    return model.apply(params, state, cameras, SIZE, SIZE, method='read')

  return jax.jit(write), jax.jit(read)


def written(memory, *seeds, params=None):
  params = model_of(memory)[1] if params is None else params
  state = memory.init(jnp.eye(4))
  for seed in seeds:
    state = compiled(memory)[0](params, state, clip_of(seed))
  return state


def read(memory, state, seed=0, params=None):
  params = model_of(memory)[1] if params is None else params
  return compiled(memory)[1](params, state, clip_of(seed).cameras)


@pytest.mark.parametrize('memory', MEMORIES)
def test_bytes_do_not_grow_and_cells_fit_the_picture(memory):
  empty, full = written(memory), written(memory, 0, 1, 2)
  assert memory.num_bytes(empty) == memory.num_bytes(full)
  assert (memory.load_factor(empty) == 0).all()
  assert (memory.load_factor(full) > 0).any()
  pixel_groups = read(memory, full).tokens
  side = memory.cell if memory is PLANES else memory.patch
  assert pixel_groups.shape[:3] == (2, SIZE // side, SIZE // side)
  assert jnp.isfinite(pixel_groups).all()


@pytest.mark.parametrize('memory', MEMORIES)
def test_what_is_read_depends_on_what_was_written(memory):
  one, other = (read(memory, written(memory, s)).tokens for s in (0, 1))
  assert jnp.abs(one - other).max() > 1e-3
  hidden = read(memory, written(memory, 0)).hidden(jnp.zeros(2))
  assert not np.any(hidden.tokens)


@pytest.mark.parametrize('memory', MEMORIES)
def test_gradients_reach_what_the_memory_learns(memory):
  _, params = model_of(memory)

  def loss(params):
    state = written(memory, 0, params=params)
    return (read(memory, state, params=params).tokens ** 2).sum()

  gradient = jax.jit(jax.grad(loss))(params)['params']['memory_layers']
  for leaf in jax.tree.leaves(gradient):
    assert jnp.abs(leaf).max() > 0


def test_a_recurrent_state_remembers_the_last_best():
  alone = written(RECURRENT, 1).sums
  after, before = written(RECURRENT, 0, 1).sums, written(RECURRENT, 1, 0).sums
  assert jnp.abs(after - alone).sum() < jnp.abs(before - alone).sum()


def test_a_recurrent_state_says_what_it_cannot():
  state = written(RECURRENT, 0)
  with pytest.raises(ValueError, match='cannot merge'):
    RECURRENT.merge(state, state)
  with pytest.raises(ValueError, match='cannot forget'):
    RECURRENT.forget(state, None)
