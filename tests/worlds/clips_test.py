import functools

import jax
import numpy as np
import pytest

from mirage_jax.geometry.cameras import in_view, project, unproject
from mirage_jax.worlds import (
  WorldConfig,
  make_clip,
  make_path,
  make_scene,
  render,
  rendering,
)

ROOMS = WorldConfig(
  frames=24, height=32, width=40, rays_per_pixel=1, paths=('out_and_back',)
)
STREETS = WorldConfig(
  'streets', frames=8, height=32, width=40, rays_per_pixel=4, paths=('explore',)
)


@functools.cache
def clips(config, count=3):
  return [make_clip(jax.random.key(i), config) for i in range(count)]


BOTH = pytest.mark.parametrize('config', [ROOMS, STREETS], ids=lambda c: c.kind)


@BOTH
def test_the_same_key_gives_the_same_bits(config):
  again = make_clip(jax.random.key(1), config)
  jax.tree.map(np.testing.assert_array_equal, again, clips(config)[1])


@BOTH
def test_frames_are_the_same_in_clips_of_all_lengths(config):
  scene = make_scene(jax.random.key(0), config)
  cameras = make_path(jax.random.key(1), scene, 'explore', config)
  time_s = np.arange(8) / config.fps
  cut = lambda tree, *ends: jax.tree.map(lambda x: x[slice(*ends)], tree)
  whole = render(scene, cut(cameras, 8), time_s, config)
  compiled = rendering._render_few._cache_size()
  part = render(scene, cut(cameras, 3, 6), time_s[3:6], config)
  assert rendering._render_few._cache_size() == compiled
  jax.tree.map(np.testing.assert_array_equal, part, cut(whole, 3, 6))


@BOTH
def test_static_pixels_have_one_colour_in_all_views(config):
  for clip in clips(config):
    near = clip.rgb[0], clip.depth_m[0], ~clip.dynamic[0] & ~clip.sky[0]
    points = unproject(jax.tree.map(lambda x: x[0], clip.cameras), near[1])
    there = jax.tree.map(lambda x: x[2], clip.cameras)
    uv, z = project(there, points.reshape(-1, 3))
    height, width = near[1].shape
    column = np.clip(np.asarray(uv[:, 0]) * width, 0, width - 1).astype(int)
    row = np.clip(np.asarray(uv[:, 1]) * height, 0, height - 1).astype(int)
    seen = clip.depth_m[2][row, column]
    static = near[2].ravel() & ~clip.dynamic[2][row, column]
    visible = np.asarray(in_view(uv, z)) & static
    agree = np.abs(seen - z) < 0.05 * z
    assert agree[visible].mean() > 0.65
    other = clip.rgb[2][row, column].astype(int)
    error = np.abs(other - near[0].reshape(-1, 3)).mean(-1)
    assert np.median(error[visible & agree]) < 10


@BOTH
def test_pixels_of_an_object_lie_in_its_box(config):
  for clip in clips(config):
    points = np.asarray(unproject(clip.cameras, clip.depth_m))
    count = clip.object_box.shape[1]
    assert clip.object_id.max() <= count
    for frame in range(0, config.frames, 4):
      for name in set(clip.object_id[frame].ravel()) - {0}:
        mine = points[frame][clip.object_id[frame] == name]
        off = np.abs(mine - clip.object_position[frame, name - 1])
        slack = 0.01 + 2e-3 * clip.depth_m[frame].max()
        assert (off <= clip.object_box[frame, name - 1] / 2 + slack).all()


@BOTH
def test_velocity_is_the_slope_of_position(config):
  for clip in clips(config):
    moved = np.diff(clip.object_position, axis=0) * config.fps
    mean = (clip.object_velocity[1:] + clip.object_velocity[:-1]) / 2
    moving = np.linalg.norm(mean, axis=-1) > 0.1
    assert moving.any()
    off = np.linalg.norm(moved - mean, axis=-1)
    assert (
      np.median(off[moving])
      < 0.05 * np.linalg.norm(mean, axis=-1)[moving].max()
    )
    np.testing.assert_allclose(moved[~moving], 0, atol=0.15)


def test_movers_alone_are_dynamic():
  for clip in clips(STREETS):
    assert not clip.dynamic[clip.object_id == 0].any()
    speed = np.linalg.norm(clip.object_velocity, axis=-1).max(0)
    moving = np.append(False, speed > 0)
    assert (moving[clip.object_id] == clip.dynamic).all()


def test_the_sky_has_no_depth_and_rooms_have_no_sky():
  for clip in clips(STREETS):
    assert ((clip.depth_m == 0) == clip.sky).all()
  assert any(clip.sky.any() for clip in clips(STREETS))
  assert not any(clip.sky.any() for clip in clips(ROOMS))


def test_pictures_are_lit_and_differ():
  for config in (ROOMS, STREETS):
    for clip in clips(config):
      assert 60 < clip.rgb.mean() < 220
      assert clip.rgb.std() > 15
  assert (clips(ROOMS)[0].rgb != clips(ROOMS)[1].rgb).any()


@pytest.mark.parametrize(
  ('options', 'message'),
  [
    ({'kind': 'roms'}, "unknown world 'roms'; have rooms, streets"),
    ({'paths': ('loop', 'walk')}, "unknown path 'walk'; have out_and_back"),
    ({'paths': ()}, 'paths is empty'),
    ({'rays_per_pixel': 3}, 'rays_per_pixel is 3; give a square'),
    ({'frames': 0}, 'give positive integers'),
  ],
)
def test_bad_settings_are_named(options, message):
  with pytest.raises(ValueError, match=message):
    WorldConfig(**options)
