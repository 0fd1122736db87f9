"""The public API: a world that is walked through, remembered and saved."""

import dataclasses

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
from mirage_jax.models.world_model import init_params

SIZE, FRAMES = 16, 10


def make_model(experiment) -> build.TrainedModel:
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
  return build.TrainedModel(model, params, settings)


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


def test_a_walk_gives_every_frame_where_it_was_asked_for(model):
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


def test_the_same_calls_give_the_same_frames_and_another_seed_does_not(model):
  one, same, other = (
    np.stack([x.rgb for x in after(model, seed=seed).walk(ahead(5))])
    for seed in (0, 0, 1)
  )
  np.testing.assert_array_equal(one, same)
  assert (one != other).any()


def test_what_was_observed_is_shown_and_a_forgotten_region_is_not(model):
  place = after(model)
  seen = place.look(ahead(2))
  known = seen.opacity > 0.5
  assert known.mean() > 0.5
  np.testing.assert_allclose(seen.depth_m[known], 2.0, atol=0.1)
  erased = place.forget(Box((-9, -9, 1), (9, 9, 3)))
  assert erased.rows > 0
  assert (place.look(ahead(2)).opacity == 0).all()


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
def test_a_saved_world_goes_on_as_if_never_left(tmp_path, request, kind):
  trained = request.getfixturevalue(kind)
  place = after(trained, seed=3)
  list(place.walk(ahead(3)))
  place.save(tmp_path)
  back = world.World.load(tmp_path, trained)
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
  many = np.resize(np.arange(FRAMES), 2 * world.VIEWS)
  place._visit(take_frames(wall(), many).cameras)
  assert world.VIEWS / 2 <= len(place._visited) <= world.VIEWS


def test_what_cannot_be_done_is_said(tmp_path, model, forgetful):
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
  with pytest.raises(ValueError, match='cannot look: the model has no spatial'):
    after(forgetful).look(ahead(1))
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
