"""A video's frames are found, and their poses, up to a similarity."""

import sys

import imageio_ffmpeg
import mediapy
import numpy as np
import pytest

from mirage_jax.capture import colmap

FRAMES, HEIGHT, WIDTH, FOCAL = 16, 192, 256, 240.0


def rotation(yaw):
  c, s = np.cos(yaw), np.sin(yaw)
  return np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]])


def true_poses():
  """A walk to the side along two walls, turning back to them."""
  place = np.linspace(-1, 1, FRAMES)
  poses = np.tile(np.eye(4), (FRAMES, 1, 1))
  for pose, x in zip(poses, place, strict=True):
    pose[:3, :3] = rotation(-0.3 * x)
    pose[:3, 3] = [x, 0.2 * np.sin(3 * x), 0.3 * x * x]
  return poses


def texture(seed):
  """Blobs of several sizes."""
  rng, total = np.random.default_rng(seed), np.zeros((512, 512, 3))
  for size in (8, 16, 32, 64):
    coarse = rng.uniform(size=(512 // size, 512 // size, 3))
    total += np.kron(coarse, np.ones((size, size, 1)))
  return np.uint8(255 * (total - total.min()) / np.ptp(total))


def photos(poses):
  """A wall 4 away, and before a part of it another, 2.5 away."""
  v, u = np.mgrid[:HEIGHT, :WIDTH] + 0.5
  local = np.stack([(u - WIDTH / 2), (v - HEIGHT / 2), 0 * u + FOCAL], -1)
  walls, frames = (texture(0), texture(1)), []
  for pose in poses:
    ray, origin = local @ pose[:3, :3].T, pose[:3, 3]
    rgb = []
    for wall, z in zip(walls, (4.0, 2.5), strict=True):
      at = origin + (z - origin[2]) / ray[..., 2:] * ray
      row, column = (np.int64(at[..., i] * 100 + 256) % 512 for i in (1, 0))
      rgb.append((wall[row, column], at))
    before = (np.abs(rgb[1][1][..., :2]) < [0.6, 0.5]).all(-1, keepdims=True)
    frames.append(np.where(before, rgb[1][0], rgb[0][0]))
  return np.stack(frames)


def write_video(path, frames):
  mediapy.set_ffmpeg(imageio_ffmpeg.get_ffmpeg_exe())
  mediapy.write_video(path, frames, fps=10, crf=8)


@pytest.mark.slow
def test_poses_are_found_up_to_a_similarity(tmp_path):
  pytest.importorskip('pycolmap')
  poses = true_poses()
  write_video(tmp_path / 'walk.mp4', photos(poses))
  (tmp_path / 'images').mkdir()
  colmap.extract_frames(tmp_path / 'walk.mp4', tmp_path / 'images')
  shots = colmap.recover_shots(tmp_path / 'images')
  assert len(shots) == FRAMES
  found = np.stack([shot.pose for shot in shots])
  here, there = (x[:, :3, 3] - x[:, :3, 3].mean(0) for x in (found, poses))
  u, values, vt = np.linalg.svd(there.T @ here)
  turn = u @ np.diag([1, 1, np.linalg.det(u @ vt)]) @ vt
  scale = values.sum() / (here**2).sum()
  error = np.linalg.norm(scale * here @ turn.T - there, axis=1)
  assert error.max() < 0.05, error
  apart = np.einsum('ij,tjk,tlk->til', turn, found[:, :3, :3], poses[:, :3, :3])
  assert (np.trace(apart, axis1=1, axis2=2) > 1 + 2 * np.cos(0.03)).all()
  assert abs(shots[0].intrinsics[0] / FOCAL - 1) < 0.1
  # What is seen is 2 away in the median; the walls are 2.5 and 4 away.
  assert 1.2 < scale < 2.1


def test_every_nth_frame_is_taken(tmp_path):
  shades = np.arange(0, 200, 20)[:, None, None, None]
  frames = np.broadcast_to(shades, (10, 32, 48, 3)).astype(np.uint8)
  write_video(tmp_path / 'grey.mp4', frames)
  (tmp_path / 'images').mkdir()
  assert (
    colmap.extract_frames(tmp_path / 'grey.mp4', tmp_path / 'images', 4) == 3
  )
  for index in range(3):
    image = mediapy.read_image(tmp_path / 'images' / f'{index:05d}.png')
    assert image.shape == (32, 48, 3)
    assert abs(image.mean() - 80 * index) < 6


def test_what_is_no_video_is_told(tmp_path):
  (tmp_path / 'broken.mp4').write_bytes(b'nothing')
  with pytest.raises(ValueError, match='broken.mp4 cannot be read as a video'):
    colmap.extract_frames(tmp_path / 'broken.mp4', tmp_path)


def test_a_missing_package_is_told(monkeypatch):
  monkeypatch.setitem(sys.modules, 'pycolmap', None)
  with pytest.raises(ValueError, match=r"pip install -e '\.\[sfm\]'"):
    colmap.load_colmap()


def test_too_few_poses_are_told(tmp_path, monkeypatch):
  for name in 'abc':
    (tmp_path / f'{name}.png').touch()
  monkeypatch.setattr(colmap, 'load_colmap', lambda: None)
  monkeypatch.setattr(colmap, '_reconstruct', lambda *_: None)
  with pytest.raises(ValueError, match='poses were found for 0 of 3 frames'):
    colmap.recover_shots(tmp_path)
