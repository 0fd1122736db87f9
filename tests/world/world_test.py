"""The public API: a world that is walked through, remembered and saved."""

import dataclasses
from unittest import mock

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import mirage_jax
from experiments import rooms_tiny, rooms_tiny_window
from mirage_jax import build, world
from mirage_jax.geometry.cameras import Cameras
from mirage_jax.geometry.clips import Clip, take_frames
from mirage_jax.memory.regions import Box
from mirage_jax.models import rollout, trained
from mirage_jax.models.world_model import init_params
from mirage_jax.world.place import VIEWS

SIZE, FRAMES = 16, 10


def make_model(experiment) -> trained.TrainedModel:
  """A small model of an experiment's kind, away from zero initialisation."""
  config = experiment.get_config()
  config.source.update(height=SIZE, width=SIZE)
  config.model.transformer.update(width=16, layers=1, heads=2)
  config.data.context, config.data.target = 2, 3
  config.sampler.steps = 2
  for memory in (config.memory, config.rollout_memory):
    if 'entries' in memory:
      memory.update(entries=3 * 2**12, views=2**8, visible=2**10, rounds=4)
  settings = config.to_dict()
  model = build.make_model(settings, exact=True)
  params = init_params(model, jax.random.key(0), SIZE, SIZE)
  params = jax.tree.map(
    lambda x: x + 0.1 * jnp.sin(jnp.arange(x.size)).reshape(x.shape), params
  )
  return trained.TrainedModel(model, params, settings)


@pytest.fixture(scope='module')
def model():
  return make_model(rooms_tiny)


@pytest.fixture(scope='module')
def forgetful():
  return make_model(rooms_tiny_window)


def wall() -> Clip:
  """A textured wall 2 m ahead of a camera that slides along it."""
  x = np.arange(SIZE) / SIZE
  rgb = np.stack(np.broadcast_arrays(x, x[:, None], 0.5), -1) * 255
  pose = np.tile(np.eye(4, dtype=np.float32), (FRAMES, 1, 1))
  pose[:, 0, 3] = np.arange(FRAMES) * 0.02
  return Clip(
    rgb=np.tile(rgb.astype(np.uint8), (FRAMES, 1, 1, 1)),
    depth_m=np.full((FRAMES, SIZE, SIZE), 2.0, np.float32),
    intrinsics=np.tile(np.float32([0.8, 0.8, 0.5, 0.5]), (FRAMES, 1)),
    world_from_camera=pose,
    time_s=np.arange(FRAMES, dtype=np.float32) / 5,
  )


def after(model, seen=4, **options) -> world.World:
  """A world that has seen the first frames of the wall."""
  place = world.World(model, **options)
  place.observe(take_frames(wall(), slice(seen)))
  return place


def ahead(count) -> Cameras:
  """The cameras after the seen ones."""
  return take_frames(wall(), slice(4, 4 + count)).cameras


def test_a_walk_gives_a_frame_for_each_camera(model):
  frames = list(after(model).walk(ahead(5)))  # chunks of 3 and 2
  assert [x.rgb.shape for x in frames] == [(SIZE, SIZE, 3)] * 5
  assert frames[0].rgb.dtype == np.uint8
  poses = np.stack([x.world_from_camera for x in frames])
  np.testing.assert_array_equal(poses, ahead(5).world_from_camera)
  times = np.stack([x.time_s for x in frames])
  np.testing.assert_allclose(times, np.arange(4, 9) / 5, atol=1e-6)


def test_one_camera_is_a_step_of_one_frame(model):
  made = after(model).step(jax.tree.map(lambda x: x[0], ahead(1)))
  assert made.rgb.shape == (1, SIZE, SIZE, 3)


@pytest.mark.parametrize('kind', ['model', 'forgetful'])
def test_two_worlds_of_a_model_trace_once(request, kind):
  given = dataclasses.replace(request.getfixturevalue(kind))
  chex.clear_trace_counter()
  counted = chex.assert_max_traces(rollout.generate, n=1)
  written = chex.assert_max_traces(rollout.write_frames, n=2)  # true, generated
  with (
    mock.patch.object(rollout, 'generate', counted),
    mock.patch.object(rollout, 'write_frames', written),
  ):
    for seed in (0, 1):
      after(given, seed=seed).step(ahead(3))
  other = world.World(given, steps=1)
  assert other._compiled is not after(given)._compiled


def test_one_camera_costs_one_frame(model):
  """The generator is traced for as many frames as there are cameras."""
  shapes = []
  inner = rollout.generate_chunk

  def spy(model, params, key, context, cameras, *others):
    shapes.append(cameras.intrinsics.shape)
    return inner(model, params, key, context, cameras, *others)

  with mock.patch.object(rollout, 'generate_chunk', spy):
    place = after(dataclasses.replace(model))
    place.step(ahead(1))
    place.step(ahead(3))
  assert shapes == [(1, 1, 4), (1, 3, 4)]


@pytest.mark.parametrize('kind', ['model', 'forgetful'])
def test_worlds_stepped_together_are_as_stepped_apart(request, kind):
  given = request.getfixturevalue(kind)
  together = [after(given, seed=seed, seen=4 - seed) for seed in (0, 1)]
  apart = [after(given, seed=seed, seen=4 - seed) for seed in (0, 1)]
  for _ in range(2):
    made = world.step_many(together, [ahead(3), ahead(3)])
    alone = [place.step(ahead(3)) for place in apart]
  for one, other in zip(made, alone, strict=True):
    difference = np.abs(one.rgb.astype(int) - other.rgb)
    assert difference.max() <= 1  # a sum in another order
    np.testing.assert_array_equal(one.time_s, other.time_s)
  assert (made[0].rgb != made[1].rgb).any()


def test_worlds_that_cannot_be_stepped_together_are_refused(model, forgetful):
  one, other = after(model), after(forgetful)
  with pytest.raises(ValueError, match='0 worlds; expected one or more'):
    world.step_many([], [])
  with pytest.raises(ValueError, match='2 worlds; expected one or more, each'):
    world.step_many([one, one], [ahead(1), ahead(1)])
  with pytest.raises(ValueError, match='cameras of 1 for 2 worlds'):
    world.step_many([one, other], [ahead(1)])
  with pytest.raises(ValueError, match='worlds of different models'):
    world.step_many([one, other], [ahead(1), ahead(1)])
  with pytest.raises(ValueError, match=r'\[1, 2\] cameras; give each world'):
    world.step_many([one, after(model)], [ahead(1), ahead(2)])


def same(one, other) -> bool:
  """Compares the memories of two worlds."""
  return all(
    bool((a == b).all())
    for a, b in zip(
      jax.tree.leaves(one.states), jax.tree.leaves(other.states), strict=True
    )
  )


def test_an_undone_observation_leaves_no_trace(model):
  place, twin = after(model), after(model)
  place.observe(take_frames(wall(), slice(5, 9)))
  assert not same(place, twin)
  place.undo()
  assert same(place, twin)
  one, other = (x.step(ahead(2)) for x in (place, twin))
  np.testing.assert_array_equal(one.rgb, other.rgb)


def test_generated_frames_survive_an_undo(model):
  place, twin = after(model), world.World(model, frame=np.eye(4))
  place.undo()
  assert (place.read(ahead(1)).opacity == 0).all()
  place, twin = after(model), after(model)
  place.observe(take_frames(wall(), slice(5, 9)))
  made = place.step(ahead(2))
  place.undo()
  clips = jax.tree.map(lambda x: jnp.asarray(x)[None], made)
  twin._session = twin._compiled.write_generated(twin._session, clips)
  assert same(place, twin)


def test_an_undo_that_would_not_be_exact_is_refused(model):
  place = world.World(model)
  with pytest.raises(ValueError, match='nothing to undo'):
    place.undo()
  place = after(model)
  place.forget(Box((-9, -9, 1), (9, 9, 3)))
  with pytest.raises(ValueError, match='cannot undo: the memory erased'):
    place.undo()
  place = after(model)
  place.undo()
  with pytest.raises(ValueError, match='nothing to undo'):
    place.undo()


def test_a_merged_memory_is_one_that_saw_both(model):
  frame = np.eye(4, dtype=np.float32)
  one, other, both = (world.World(model, frame=frame) for _ in range(3))
  parts = [take_frames(wall(), slice(i, i + 3)) for i in (0, 5)]
  for place, clip in zip((one, other), parts, strict=True):
    place.observe(clip)
    both.observe(clip)
  one.merge(other)
  assert same(one, both)
  elsewhere = world.World(model)
  elsewhere.observe(parts[1])
  with pytest.raises(ValueError, match='different scene frames'):
    one.merge(elsewhere)


def test_the_same_calls_give_the_same_frames_and_another_seed_does_not(model):
  one, same, other = (
    np.stack([x.rgb for x in after(model, seed=seed).walk(ahead(5))])
    for seed in (0, 0, 1)
  )
  np.testing.assert_array_equal(one, same)
  assert (one != other).any()


def test_an_observation_is_read_and_a_forgotten_region_is_not(model):
  place = after(model)
  seen = place.read(ahead(2))
  known = seen.opacity > 0.5
  assert known.mean() > 0.5
  np.testing.assert_allclose(seen.depth_m[known], 2.0, atol=0.1)
  erased = place.forget(Box((-9, -9, 1), (9, 9, 3)))
  assert erased.rows > 0
  assert (place.read(ahead(2)).opacity == 0).all()


def test_generated_frames_are_remembered_if_wanted(model):
  for remember in (True, False):
    place = after(model)
    before = jax.tree.leaves(place.states)
    place.step(ahead(2), remember=remember)
    changed = any(
      (a != b).any()
      for a, b in zip(before, jax.tree.leaves(place.states), strict=True)
    )
    assert changed == remember


@pytest.mark.parametrize('kind', ['model', 'forgetful'])
def test_a_saved_world_continues_with_the_same_bits(tmp_path, request, kind):
  given = request.getfixturevalue(kind)
  place = after(given, seed=3)
  list(place.walk(ahead(3)))
  place.save(tmp_path)
  back = world.World.load(tmp_path, given)
  one, other = (
    np.stack([x.rgb for x in some.walk(ahead(3))]) for some in (place, back)
  )
  np.testing.assert_array_equal(one, other)


def test_an_empty_world_is_saved_too(tmp_path, model):
  world.World(model).save(tmp_path)
  place = world.World.load(tmp_path, model)
  place.observe(wall())
  assert place.step(ahead(1)).rgb.shape == (1, SIZE, SIZE, 3)


def test_the_points_lie_on_the_wall(tmp_path, model):
  place = after(model)
  count = place.export_points(tmp_path / 'wall.ply', confidence=0.1)
  data = (tmp_path / 'wall.ply').read_bytes()
  header, _, body = data.partition(b'end_header\n')
  assert f'element vertex {count}'.encode() in header
  kind = [(x, '<f4') for x in 'xyz'] + [(x, 'u1') for x in 'rgb']
  rows = np.frombuffer(body, kind)
  assert count == len(rows) > 50
  np.testing.assert_allclose(rows['z'], 2.0, atol=0.1)
  assert np.ptp(rows['r']) > 100  # the texture is there


def test_cameras_that_are_kept_are_bounded(model):
  place = after(model)
  many = np.resize(np.arange(FRAMES), 2 * VIEWS)
  place._visit(take_frames(wall(), many).cameras)
  assert VIEWS / 2 <= len(place._visited) <= VIEWS


def test_impossible_calls_are_refused(tmp_path, model, forgetful):
  with pytest.raises(ValueError, match='the world is empty; observe'):
    world.World(model).step(ahead(1))
  with pytest.raises(ValueError, match='4 cameras at once; expected 1 to 3'):
    after(model).step(ahead(4))
  with pytest.raises(ValueError, match='frames of 8 x 16 pixels; the model'):
    clip = wall()
    half = dataclasses.replace(
      clip, rgb=clip.rgb[:, :8], depth_m=clip.depth_m[:, :8]
    )
    world.World(model).observe(half)
  with pytest.raises(ValueError, match='cannot read: the model has no spatial'):
    after(forgetful).read(ahead(1))
  with pytest.raises(ValueError, match='cannot forget: nothing was observed'):
    world.World(model).forget(Box((0, 0, 0), (1, 1, 1)))
  with pytest.raises(FileNotFoundError, match='that World.save wrote'):
    world.World.load(tmp_path / 'nowhere', model)


def test_damaged_and_foreign_worlds_are_refused(tmp_path, model):
  after(model).save(tmp_path)
  settings = {**model.settings, 'rollout_memory': {'entries': 3 * 2**11}}
  other = build.make_model(settings, exact=True)
  with pytest.raises(ValueError, match='give the model that it was saved with'):
    world.World.load(tmp_path, dataclasses.replace(model, model=other))
  (tmp_path / 'window.npz').write_bytes(b'nothing')
  with pytest.raises(ValueError, match='is damaged .* save the world again'):
    world.World.load(tmp_path, model)


def test_the_package_gives_its_public_names():
  assert mirage_jax.World is world.World
  assert mirage_jax.load_pretrained('rooms_tiny').size == (64, 64)
  with pytest.raises(AttributeError, match="no attribute 'Word'"):
    mirage_jax.Word  # noqa: B018
