"""Laws of the world model: what sees what, and what the memory may change."""

import dataclasses
import functools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mirage_jax.flow import Sampler
from mirage_jax.geometry.clips import Clip, take_frames
from mirage_jax.memory.baselines.frame_bank import FrameBank
from mirage_jax.memory.baselines.point_cloud import PointCloud
from mirage_jax.memory.view_grid import erasure
from mirage_jax.memory.view_grid.grid import ViewGrid
from mirage_jax.models.codec import PixelCodec, fill_masks
from mirage_jax.models.sampling import generate_chunk
from mirage_jax.models.scenes import (
  init_states,
  read_views,
  reserve,
  write_frames,
)
from mirage_jax.models.video_transformer import VideoTransformer
from mirage_jax.models.world_model import init_params, make_pixel_model

SIZE = 16
CLOUD = PointCloud(features=3 + 4, capacity=2**11)
TRUNK = {'width': 32, 'layers': 2, 'heads': 2}


@pytest.fixture(scope='module')
def clip() -> Clip:
  """A textured wall 2 m ahead, seen by six cameras that slide along it."""
  x = jnp.arange(SIZE) / SIZE
  rgb = jnp.stack(jnp.broadcast_arrays(x, x[:, None], 0.5), -1) * 255
  pose = jnp.broadcast_to(jnp.eye(4), (1, 6, 4, 4))
  pose = pose.at[:, :, 0, 3].set(jnp.arange(6) * 0.02)
  return fill_masks(
    Clip(
      rgb=jnp.broadcast_to(rgb.astype(jnp.uint8), (1, 6, SIZE, SIZE, 3)),
      depth_m=jnp.full((1, 6, SIZE, SIZE), 2.0),
      intrinsics=jnp.broadcast_to(jnp.array([0.8, 0.8, 0.5, 0.5]), (1, 6, 4)),
      world_from_camera=pose,
      time_s=jnp.arange(6.0)[None],
    )
  )


@pytest.fixture(scope='module')
def remembering() -> tuple:
  model = make_pixel_model(transformer=TRUNK, memory=CLOUD, learned_features=4)
  return model, init_params(model, jax.random.key(0), SIZE, SIZE)


def shaken(params):
  """Parameters away from zero initialisation."""
  leaves, tree = jax.tree.flatten(params)
  keys = jax.random.split(jax.random.key(7), len(leaves))
  moved = [
    x + 0.1 * jax.random.normal(k, x.shape)
    for x, k in zip(leaves, keys, strict=True)
  ]
  return jax.tree.unflatten(tree, moved)


def test_a_new_trunk_is_the_identity_up_to_the_norm():
  tokens = jax.random.normal(jax.random.key(0), (1, 2, 4, 32))
  trunk = VideoTransformer(**TRUNK)
  args = (tokens, jnp.ones((1, 2)), 2)
  params = jax.jit(trunk.init, static_argnums=3)(jax.random.key(1), *args)
  out, _ = jax.jit(trunk.apply, static_argnums=3)(params, *args)
  np.testing.assert_allclose(out.mean(-1), 0, atol=1e-5)
  centred = tokens - tokens.mean(-1, keepdims=True)
  np.testing.assert_allclose(
    out, centred / tokens.std(-1, keepdims=True), atol=1e-4
  )


def test_frames_see_the_past_and_each_other_in_their_order():
  tokens = jax.random.normal(jax.random.key(0), (1, 3, 4, 32))
  trunk = VideoTransformer(**TRUNK)
  levels = jnp.full((1, 3), 0.5)
  init = jax.jit(trunk.init, static_argnums=3)
  params = shaken(init(jax.random.key(1), tokens, levels, 2))
  apply = jax.jit(
    lambda x, past=None: trunk.apply(
      params, x, levels[:, : x.shape[1]], 2, past
    )
  )
  past = apply(tokens[:, :1])[1]
  assert past.keys.shape == (TRUNK['layers'], 1, TRUNK['heads'], 4, 16)
  before = apply(tokens[:, 1:], past)[0]
  for other in (
    apply(tokens[:, 1:])[0],
    apply(tokens[:, 1:], apply(-tokens[:, :1])[1])[0],
    apply(tokens[:, 2:0:-1], past)[0][:, ::-1],
    apply(tokens[:, 1:].at[:, 1].multiply(-1.0), past)[0],
  ):
    assert jnp.abs(before[:, 0] - other[:, 0]).max() > 1e-4


def test_recomputing_activations_changes_no_gradient():
  tokens = jax.random.normal(jax.random.key(0), (1, 2, 4, 32))
  args = (tokens, jnp.ones((1, 2)), 2)
  plain, saving = (
    VideoTransformer(**TRUNK),
    VideoTransformer(**TRUNK, remat='full'),
  )
  init = jax.jit(plain.init, static_argnums=3)
  params = shaken(init(jax.random.key(1), *args))

  def gradient(module):
    loss = lambda p: (module.apply(p, *args)[0] ** 2 * tokens).sum()
    return jax.jit(jax.grad(loss))

  chex.assert_trees_all_close(
    gradient(plain)(params), gradient(saving)(params), atol=1e-5, rtol=1e-4
  )


def predict(model, params, clip, readout):
  made = functools.partial(_predict, model)
  return jax.jit(made)(params, clip, readout)


def _predict(model, params, clip, readout):
  target = take_frames(clip, slice(3, 6), axis=1)
  levels = jnp.full((1, 3), 0.5)
  conditioning = conditioned(model, params, clip, readout)
  noisy = PixelCodec().encode(target).values
  return model.apply(params, noisy, levels, conditioning, method='denoise')


def conditioned(model, params, clip, readout):
  context = take_frames(clip, slice(0, 3), axis=1)
  return model.apply(
    params,
    PixelCodec().encode(context),
    jnp.zeros((1, 3)),
    context.cameras,
    take_frames(clip, slice(3, 6), axis=1).cameras,
    readout,
    method='condition',
  )


def remembered(model, params, clip):
  return jax.jit(functools.partial(_remembered, model))(params, clip)


def _remembered(model, params, clip):
  states = init_states(model, clip.world_from_camera[:, 0])
  states = write_frames(model, params, states, clip, False)
  views = take_frames(clip, slice(3, 6), axis=1).cameras
  return read_views(model, params, states, views, SIZE, SIZE)


def test_only_too_full_memories_are_thinned_out(clip):
  grid = ViewGrid(entries=3 * 2**10, views=2**8, rounds=8, features=7)
  model = make_pixel_model(transformer=TRUNK, memory=grid, learned_features=4)
  params = init_params(model, jax.random.key(0), SIZE, SIZE)
  states = init_states(model, jnp.tile(clip.world_from_camera[:, 0], (2, 1, 1)))
  assert reserve(model, states, 0) is states
  poses = clip.world_from_camera.at[0, :, 2, 3].set(jnp.arange(6) * 0.6)
  moved = dataclasses.replace(clip, world_from_camera=poses)
  both = jax.tree.map(lambda *x: jnp.concatenate(x), clip, moved)
  write = functools.partial(write_frames, model, generated=False)
  states = jax.jit(write)(params, states, both)
  few, many = jax.vmap(grid.load_factor)(states)[:, 0] * grid.entries
  points = int(erasure.FULLEST * grid.entries - (few + many) / 2)
  roomy = reserve(model, states, points)
  after = jax.vmap(grid.load_factor)(roomy)[:, 0] * grid.entries
  assert after[0] == few and after[1] < 0.8 * many
  for old, new in zip(
    jax.tree.leaves(states), jax.tree.leaves(roomy), strict=True
  ):
    np.testing.assert_array_equal(old[0], new[0])


def test_memories_that_grow_are_as_large_as_the_fullest(remembering, clip):
  model, params = remembering
  # Nothing has depth in the first scene's last frames.
  depth_m = clip.depth_m.at[0, 2:].set(0.0)
  hollow = dataclasses.replace(clip, depth_m=depth_m)
  both = jax.tree.map(lambda *x: jnp.concatenate(x), hollow, clip)
  states = init_states(model, both.world_from_camera[:, 0])
  states = write_frames(model, params, states, both, False)
  few, many = states.count.tolist()
  assert few < many
  roomy = reserve(model, states, CLOUD.capacity - many + 1)
  assert roomy.rows.position.shape[:2] == (2, 2 * CLOUD.capacity)
  assert roomy.count.tolist() == [few, many]
  views = take_frames(both, slice(3, 6), axis=1).cameras
  before = read_views(model, params, states, views, SIZE, SIZE)
  after = read_views(model, params, roomy, views, SIZE, SIZE)
  chex.assert_trees_all_equal(before, after)


def test_an_empty_memory_changes_nothing(remembering, clip):
  model, params = remembering
  params = shaken(params)
  empty = init_states(model, clip.world_from_camera[:, 0])
  views = take_frames(clip, slice(3, 6), axis=1).cameras
  readout = read_views(model, params, empty, views, SIZE, SIZE)
  params['params']['generator']['readout_in']['bias'] *= 0.0
  bare = predict(model, params, clip, None)
  told = predict(model, params, clip, readout)
  np.testing.assert_allclose(told.gate, 0, atol=0.05)
  np.testing.assert_allclose(told.clean, bare.clean, atol=0.3)


def test_a_new_model_returns_a_confident_readout(remembering, clip):
  model, params = remembering
  readout = remembered(model, params, clip)
  sure = readout.replace(confidence=jnp.ones_like(readout.confidence))
  params = jax.tree.map(lambda x: x, params)
  params['params']['guess_bias'] = jnp.float32(20.0)
  told = predict(model, params, clip, sure)
  np.testing.assert_allclose(told.clean[..., :3], readout.rgb, atol=1e-4)


def test_gradients_reach_the_writer_through_the_memory(remembering, clip):
  model, params = remembering
  params = shaken(params)

  def loss(params):
    readout = remembered(model, params, clip)
    return (predict(model, params, clip, readout).clean ** 2).sum()

  gradient = jax.jit(jax.grad(loss))(params)['params']
  assert jnp.abs(gradient['encoder_hidden']['kernel']).max() > 0
  assert jnp.abs(gradient['generator']['readout_in']['kernel']).max() > 0


def test_gradient_of_the_writer_is_the_finite_difference(remembering, clip):
  model, params = remembering
  params = shaken(params)
  way = jax.tree.map(jnp.zeros_like, params)
  way['params']['encoder_out']['kernel'] += 1.0

  @jax.jit
  def loss(size):
    moved = jax.tree.map(lambda x, d: x + size * d, params, way)
    readout = remembered(model, moved, clip)
    return jnp.sin(readout.features[..., 3:]).mean()

  slope = (loss(1e-2) - loss(-1e-2)) / 2e-2
  np.testing.assert_allclose(jax.grad(loss)(0.0), slope, rtol=2e-2)


@pytest.mark.parametrize('kind', ['euler', 'heun'])
def test_generation_is_a_function_of_its_key(remembering, clip, kind):
  model, params = remembering
  params = shaken(params)
  window = take_frames(clip, slice(0, 3), axis=1)
  views = take_frames(clip, slice(3, 6), axis=1).cameras
  states = init_states(model, clip.world_from_camera[:, 0])
  states = write_frames(model, params, states, window, False)

  @jax.jit
  def make(key):
    sampler = Sampler(kind, steps=2)
    return generate_chunk(model, params, key, window, views, states, sampler)[0]

  one, same, other = (
    make(jax.random.key(0)),
    make(jax.random.key(0)),
    make(jax.random.key(1)),
  )
  chex.assert_trees_all_equal(one, same)
  assert jnp.abs(one.rgb - other.rgb).max() > 1e-3
  assert jnp.abs(one.rgb).max() <= 1
  assert one.rgb.shape == (1, 3, SIZE, SIZE, 3)


def test_one_step_of_euler_is_the_prediction_at_noise(remembering, clip):
  model, params = remembering
  params = shaken(params)
  window = take_frames(clip, slice(0, 3), axis=1)
  views = take_frames(clip, slice(3, 6), axis=1).cameras
  key = jax.random.key(3)
  generate = functools.partial(generate_chunk, model, sampler=Sampler(steps=1))
  frames, _ = jax.jit(generate)(params, key, window, views, None)
  noise = jax.random.normal(key, (1, 3, SIZE, SIZE, 4))
  inputs = jax.jit(functools.partial(conditioned, model))(params, clip, None)
  denoise = jax.jit(functools.partial(model.apply, method='denoise'))
  direct = denoise(params, noise, jnp.ones((1, 3)), inputs)
  np.testing.assert_allclose(
    frames.rgb, jnp.clip(direct.clean[..., :3], -1, 1), atol=1e-5
  )


def test_a_window_model_has_no_states(clip):
  model = make_pixel_model(transformer=TRUNK)
  params = init_params(model, jax.random.key(0), SIZE, SIZE)
  frame = clip.world_from_camera[:, 0]
  assert init_states(model, frame) is None
  assert write_frames(model, params, None, clip, False) is None
  assert read_views(model, params, None, clip.cameras, SIZE, SIZE) is None


def test_a_per_frame_generator_mixes_no_frames(clip):
  model = make_pixel_model(transformer=TRUNK, per_frame=True)
  params = shaken(init_params(model, jax.random.key(0), SIZE, SIZE))
  before = predict(model, params, clip, None).clean
  others = np.array([0, 1, 2, 3, 5])
  changed = clip.replace(rgb=clip.rgb.at[:, others].set(0))
  after = predict(model, params, changed, None).clean
  np.testing.assert_array_equal(before[:, 1], after[:, 1])
  assert jnp.abs(before[:, 0] - after[:, 0]).max() > 1e-4


def test_retrieved_frames_join_the_context(clip):
  bank = FrameBank(SIZE, SIZE, frames=2, context_frames=2, capacity=8)
  model = make_pixel_model(transformer=TRUNK, memory=bank, learned_features=4)
  params = shaken(init_params(model, jax.random.key(0), SIZE, SIZE))
  readout = remembered(model, params, clip)
  assert readout.retrieved.rgb.shape == (1, 2, SIZE, SIZE, 3)
  told = predict(model, params, clip, readout).clean
  dark = readout.retrieved.replace(rgb=-jnp.ones_like(readout.retrieved.rgb))
  other = predict(model, params, clip, readout.replace(retrieved=dark)).clean
  assert jnp.abs(told - other).max() > 1e-3
  hidden = readout.hidden(jnp.zeros(1))
  blank = hidden.replace(
    retrieved=hidden.retrieved.replace(rgb=readout.retrieved.rgb)
  )
  np.testing.assert_array_equal(
    predict(model, params, clip, hidden).clean,
    predict(model, params, clip, blank).clean,
  )
