"""Recordings of other layouts, copied and looked at."""

import dataclasses
import json

import numpy as np
import pytest
from absl import flags
from absl.testing import flagsaver
from PIL import Image

from launch import ingest
from mirage_jax.capture import inspection
from mirage_jax.data.readers import recordings, transforms
from mirage_jax.data.readers.folders import read_folder
from mirage_jax.geometry.clips import Clip, take_frames
from tests.data import posed_folder

HEIGHT, WIDTH, FRAMES = 24, 32, 24


def run(folder, **given):
  """The program's figures; it writes into `folder/out`."""
  flags.FLAGS.mark_as_parsed()
  given = {name: str(value) for name, value in given.items()}
  with flagsaver.as_parsed(output=str(folder / 'out'), **given):
    return ingest.main([])


@pytest.fixture(scope='module')
def room() -> Clip:
  """Inside a ball with a pattern: the camera turns away and comes back."""
  turn = np.sin(np.linspace(0, np.pi, FRAMES)) * 2.5
  pose = np.tile(np.eye(4, dtype=np.float32), (FRAMES, 1, 1))
  pose[:, 0, 0] = pose[:, 2, 2] = np.cos(turn)
  pose[:, 0, 2], pose[:, 2, 0] = np.sin(turn), -np.sin(turn)
  pose[:, :3, 3] = np.stack([turn, 0.2 * turn, 0.1 * turn], axis=1) * 0.4
  v, u = np.mgrid[:HEIGHT, :WIDTH] + 0.5
  ray = np.stack([u / WIDTH - 0.5, v / HEIGHT - 0.5, np.full(u.shape, 0.8)], -1)
  ray = ray / ray[..., 2:] @ pose[:, None, :3, :3].swapaxes(-1, -2)
  origin = pose[:, None, None, :3, 3]
  a, b = (ray**2).sum(-1), (ray * origin).sum(-1)
  c = (origin**2).sum(-1) - 3.0**2
  depth = (-b + np.sqrt(b * b - a * c)) / a
  point = origin + depth[..., None] * ray
  rgb = np.round(127 + 120 * np.sin(2 * point + [0, 1, 2])).astype(np.uint8)
  lens = np.tile(np.float32([0.8, 0.8, 0.5, 0.5]), (FRAMES, 1))
  return Clip(
    rgb=rgb,
    depth_m=depth.astype(np.float32),
    intrinsics=lens,
    world_from_camera=pose,
    time_s=np.arange(FRAMES, dtype=np.float32) / 10,
  )


def write_images(clip, folder, unit_m):
  """Images and depth of a clip, as most layouts keep them."""
  for kind in ('rgb', 'depth'):
    (folder / kind).mkdir(parents=True)
  for i, (rgb, depth) in enumerate(zip(clip.rgb, clip.depth_m, strict=True)):
    Image.fromarray(rgb).save(folder / 'rgb' / f'{i}.png')
    whole = np.round(depth / unit_m).astype(np.uint16)
    Image.fromarray(whole).save(folder / 'depth' / f'{i}.png')


def write_nerfstudio(clip, folder, unit_m=1e-3):
  write_images(clip, folder, unit_m)
  poses = clip.world_from_camera @ transforms.OPENCV_FROM_OPENGL
  frames = [
    {
      'file_path': f'rgb/{i}.png',
      'depth_file_path': f'depth/{i}.png',
      'transform_matrix': pose.tolist(),
    }
    for i, pose in enumerate(poses)
  ]
  about = {'fl_x': 0.8 * WIDTH, 'fl_y': 0.8 * HEIGHT, 'w': WIDTH, 'h': HEIGHT}
  about |= {'depth_unit_scale_factor': unit_m, 'frames': frames}
  (folder / 'transforms.json').write_text(json.dumps(about))


def write_tum(clip, folder):
  """Rotations are about one axis here: the quaternion is easy."""
  write_images(clip, folder, recordings.TUM_UNIT_M)
  lines = {'rgb': ['# time file'], 'depth': [], 'groundtruth': ['# time ...']}
  for i, pose in enumerate(clip.world_from_camera):
    time = 1000 + i / 10
    half = np.arctan2(pose[0, 2], pose[0, 0]) / 2
    x, y, z = pose[:3, 3]
    lines['rgb'].append(f'{time:.4f} rgb/{i}.png')
    lines['depth'].append(f'{time + 0.003:.4f} depth/{i}.png')
    lines['groundtruth'].append(
      f'{time - 0.002:.4f} {x} {y} {z} 0 {np.sin(half)} 0 {np.cos(half)}'
    )
  for name, rows in lines.items():
    (folder / f'{name}.txt').write_text('\n'.join(rows) + '\n')


def write_realestate(clip, file, images):
  images.mkdir()
  rows = ['https://example.org/video']
  for i, pose in enumerate(clip.world_from_camera):
    view = np.linalg.inv(pose)[:3].reshape(-1)
    numbers = [0.8, 0.8, 0.5, 0.5, 0, 0, *view]
    rows.append(' '.join([str(1000 * i), *(f'{x:.9g}' for x in numbers)]))
    Image.fromarray(clip.rgb[i]).save(images / f'{1000 * i}.png')
  file.write_text('\n'.join(rows))


def assert_same_cameras(folder, clip):
  back = read_folder(folder).clip
  np.testing.assert_allclose(
    back.world_from_camera, clip.world_from_camera, atol=1e-5
  )
  np.testing.assert_allclose(back.intrinsics, clip.intrinsics, atol=1e-5)
  np.testing.assert_array_equal(back.rgb, clip.rgb)
  return back


def test_a_written_clip_is_read_again(tmp_path, room):
  assert recordings.write_clip(room, tmp_path / 'new') == FRAMES
  back = assert_same_cameras(tmp_path / 'new', room)
  np.testing.assert_allclose(back.depth_m, room.depth_m, atol=1e-3)
  far = room.depth_m.copy()
  far[:, 0] = 70.0
  recordings.write_clip(dataclasses.replace(room, depth_m=far), tmp_path)
  depth = read_folder(tmp_path).clip.depth_m
  assert (depth[:, 0] == 0).all() and (depth[:, 1:] > 0).all()


def test_a_folder_is_copied_and_found_in_order(tmp_path, room, capsys):
  write_nerfstudio(room, tmp_path / 'in')
  found = run(tmp_path, input=tmp_path / 'in')
  back = assert_same_cameras(tmp_path / 'out', room)
  np.testing.assert_allclose(back.depth_m, room.depth_m, atol=1e-3)
  assert found['depth_agrees'] > 0.95
  assert found['colour_error_warped'] < found['colour_error_unwarped'] / 3
  assert found['revisits'] > 0 and found['warnings'] == 0
  report = json.loads((tmp_path / 'out' / 'report.json').read_text())
  assert report['figures']['frames'] == FRAMES
  assert (tmp_path / 'out' / 'report.png').stat().st_size > 1000
  assert 'Nothing is odd.' in (tmp_path / 'out' / 'report.md').read_text()


def test_tum_recordings_are_read(tmp_path, room):
  write_tum(room, tmp_path / 'in')
  lens = f'{0.8 * WIDTH},{0.8 * HEIGHT},{WIDTH / 2},{HEIGHT / 2}'
  found = run(tmp_path, input=tmp_path / 'in', intrinsics=lens)
  back = assert_same_cameras(tmp_path / 'out', room)
  np.testing.assert_allclose(back.depth_m, room.depth_m, atol=1e-3)
  assert found['depth_agrees'] > 0.95


def test_realestate_recordings_are_read(tmp_path, room):
  write_realestate(room, tmp_path / 'cameras.txt', tmp_path / 'frames')
  found = run(
    tmp_path, input=tmp_path / 'cameras.txt',
    images=tmp_path / 'frames', every=2, fit_steps=0,
  )  # fmt: skip
  every = take_frames(room, slice(None, None, 2))
  back = assert_same_cameras(tmp_path / 'out', every)
  assert not back.depth_m.any() and found['warnings'] > 0


def test_depth_is_fitted_where_there_is_none(tmp_path, room, capsys):
  write_nerfstudio(take_frames(room, slice(9)), tmp_path / 'in')
  about = json.loads((tmp_path / 'in' / 'transforms.json').read_text())
  for frame in about['frames']:
    del frame['depth_file_path']
  (tmp_path / 'in' / 'transforms.json').write_text(json.dumps(about))
  found = run(tmp_path, input=tmp_path / 'in', fit_steps=8)
  assert found['fit_steps'] == 8 and 5 < found['held_out_psnr_db'] < 60
  assert (found['fit_height'], found['fit_width']) == (HEIGHT, WIDTH)
  report = json.loads((tmp_path / 'out' / 'report.json').read_text())
  assert any('depth was fitted' in words for words in report['warnings'])
  frames = json.loads((tmp_path / 'out' / 'transforms.json').read_text())
  for frame in frames['frames']:
    assert (tmp_path / 'out' / frame['depth_file_path']).is_file()
  assert (tmp_path / 'out' / 'fit.png').stat().st_size > 1000
  assert_same_cameras(tmp_path / 'out', take_frames(room, slice(9)))


FLIP = inspection.FLIP
inverse = np.linalg.inv


@pytest.mark.parametrize(
  ('words', 'wrong'),
  [
    ('its poses had OpenCV axes', lambda p: p @ FLIP),
    (
      'its poses were world-to-camera:',
      lambda p: np.linalg.inv(p @ FLIP) @ FLIP,
    ),
    ('world-to-camera with OpenCV', lambda p: np.linalg.inv(p) @ FLIP),
  ],
)
def test_wrong_poses_are_named(room, words, wrong):
  poses = wrong(room.world_from_camera).astype(np.float32)
  found = inspection.inspect(dataclasses.replace(room, world_from_camera=poses))
  assert any(words in warning for warning in found.warnings), found


def test_a_wrong_unit_is_named(room):
  depth = dataclasses.replace(room, depth_m=room.depth_m / 4)
  found = inspection.inspect(depth)
  assert any('depth were x 4' in warning for warning in found.warnings), found


def test_jumps_and_still_cameras_are_named(room):
  poses = room.world_from_camera.copy()
  poses[10:, 0, 3] += 50
  found = inspection.inspect(dataclasses.replace(room, world_from_camera=poses))
  assert any('jumps after 1 frames (first: 9' in x for x in found.warnings)
  still = take_frames(room, np.zeros(FRAMES, int))
  found = inspection.inspect(still)
  assert any('never moves' in warning for warning in found.warnings)
  assert found.figures['revisits'] == 0


@pytest.mark.parametrize(
  ('flags', 'words'),
  [
    ({}, '--input is missing'),
    ({'input': 'nowhere'}, 'nowhere is no recording; expected a folder'),
    ({'input': 'cameras.txt'}, '--images is missing'),
    ({'input': 'tum', 'intrinsics': '1,2,3'}, 'expected fx,fy,cx,cy'),
    ({'input': 'tum'}, 'no image has a pose within'),
    ({'input': 'tum', 'every': 0}, '--every=0; expected 1 or more'),
    ({'input': 'tum', 'fit_steps': -1}, '--fit_steps=-1; expected 0 or more'),
    ({'input': 'few'}, '3 frames have no depth, and are too few to fit it'),
    ({'input': 'still'}, 'all 4 cameras are at one place'),
  ],
)
def test_bad_input_is_told(tmp_path, monkeypatch, flags, words):
  monkeypatch.chdir(tmp_path)
  (tmp_path / 'cameras.txt').write_text('1 2 3\n')
  (tmp_path / 'tum').mkdir()
  (tmp_path / 'tum' / 'groundtruth.txt').write_text('0 0 0 0 0 0 0 1\n')
  (tmp_path / 'tum' / 'rgb.txt').write_text('9 rgb/9.png\n')
  posed_folder.write_folder(tmp_path / 'few', frames=3, depth=False)
  posed_folder.write_folder(tmp_path / 'still', frames=4, depth=False)
  for index in range(4):
    pose = posed_folder.opengl_pose().tolist()
    posed_folder.edit_frame(tmp_path / 'still', index, transform_matrix=pose)
  with pytest.raises((ValueError, FileNotFoundError), match=words):
    run(tmp_path, **flags)
