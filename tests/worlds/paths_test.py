import functools

import jax
import numpy as np
import pytest

from mirage_jax.worlds import (
  PATHS,
  Scene,
  WorldConfig,
  make_path,
  make_scene,
)

SCENES = 6
CONFIGS = {
  kind: WorldConfig(kind, frames=40, height=8, width=8)
  for kind in ('rooms', 'streets')
}
EVERY = pytest.mark.parametrize(
  ('kind', 'name'), [(kind, name) for kind in CONFIGS for name in PATHS]
)


def stack(trees):
  """Leaves `[scenes, ...]` of the scenes; each was compiled for all worlds."""
  return jax.tree.map(lambda *leaves: np.stack(leaves), *trees)


@functools.cache
def scenes(kind):
  keys = map(jax.random.key, range(SCENES))
  return stack([make_scene(key, CONFIGS[kind]) for key in keys])


@functools.cache
def paths(kind, name):
  """Poses `[scenes, frames, 4, 4]`."""
  poses = []
  for i in range(SCENES):
    scene = jax.tree.map(lambda x, i=i: x[i], scenes(kind))
    cameras = make_path(jax.random.key(100 + i), scene, name, CONFIGS[kind])
    poses.append(cameras.world_from_camera)
  return np.stack(poses)


def turns(poses):
  """Angles between frames `[scenes, frames - 1]`, radians."""
  before, after = poses[:, :-1, :3, 2], poses[:, 1:, :3, 2]
  return np.arccos(np.clip((before * after).sum(-1), -1, 1))


@EVERY
def test_steps_and_turns_are_bounded(kind, name):
  config, poses = CONFIGS[kind], paths(kind, name)
  steps = np.linalg.norm(np.diff(poses[..., :3, 3], axis=1), axis=-1)
  assert steps.max() <= config.step_m * 1.001
  assert turns(poses).max() <= config.turn_rad * 1.01
  assert (steps + turns(poses)).sum(1).min() > 0.5


@EVERY
def test_cameras_keep_clear_of_everything(kind, name):
  scene = jax.device_get(scenes(kind))
  eye = paths(kind, name)[:, :, None, :3, 3]
  for solids, round_ in ((scene.boxes, False), (scene.rounds, True)):
    rel = eye - solids.centre[:, None]
    c, s = np.cos(solids.yaw)[:, None], np.sin(solids.yaw)[:, None]
    x, y, z = np.moveaxis(rel, -1, 0)
    own = np.stack([c * x - s * z, y, s * x + c * z], -1)
    margin = solids.half + 0.12
    share = np.abs(own) / margin[:, None]
    outside = (share > 1).any(-1)
    if round_:
      outside |= (share**2).sum(-1) > 1
    absent = (solids.half == 0).all(-1)[:, None]
    assert (outside | absent).all()


@EVERY
def test_cameras_are_level_and_rigid(kind, name):
  rotation = paths(kind, name)[..., :3, :3]
  product = rotation @ np.swapaxes(rotation, -1, -2)
  np.testing.assert_allclose(
    product, np.broadcast_to(np.eye(3), product.shape), atol=1e-5
  )
  np.testing.assert_allclose(rotation[..., 1, 0], 0, atol=1e-6)


@pytest.mark.parametrize('kind', CONFIGS)
def test_out_and_back_leaves_and_returns(kind):
  poses = paths(kind, 'out_and_back')
  np.testing.assert_allclose(poses[:, 0], poses[:, -1], atol=1e-3)
  half = poses[:, : poses.shape[1] // 2]
  away = np.arccos(
    np.clip((half[:, :1, :3, 2] * half[..., :3, 2]).sum(-1), -1, 1)
  ).max(1)
  far = np.linalg.norm(half[..., :3, 3] - half[:, :1, :3, 3], axis=-1).max(1)
  assert ((away > np.deg2rad(88)) | (far > 3)).all()


@pytest.mark.parametrize('kind', CONFIGS)
def test_a_loop_comes_round(kind):
  poses = paths(kind, 'loop')
  round_ = turns(poses).sum(1) > np.deg2rad(300)
  home = np.linalg.norm(poses[:, 0] - poses[:, -1], axis=(-1, -2)) < 0.6
  assert (round_ & home).all()


@pytest.mark.parametrize('kind', CONFIGS)
def test_exploring_never_comes_back(kind):
  config, place = CONFIGS[kind], paths(kind, 'explore')[:, :, :3, 3]
  apart = np.linalg.norm(place[:, :, None] - place[:, None], axis=-1)
  frames = np.arange(config.frames)
  later = np.abs(frames[:, None] - frames) > 12
  moved = np.linalg.norm(np.diff(place, axis=1), axis=-1).mean(1)
  assert (np.where(later, apart, np.inf).min((1, 2)) > 3 * moved).all()


@pytest.mark.parametrize('kind', CONFIGS)
def test_a_random_walk_comes_back(kind):
  place = paths(kind, 'random_walk')[:, :, :3, 3]
  length = np.linalg.norm(np.diff(place, axis=1), axis=-1).sum(1)
  extent = np.linalg.norm(np.ptp(place, axis=1), axis=-1)
  assert (length > 1.2 * extent).mean() > 0.5


def test_an_unknown_path_is_named():
  with pytest.raises(ValueError, match="unknown path 'walk'; have"):
    make_path(
      jax.random.key(0), object.__new__(Scene), 'walk', CONFIGS['rooms']
    )
