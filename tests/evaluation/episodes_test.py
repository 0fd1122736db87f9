import dataclasses
import json

import numpy as np
import pytest
from PIL import Image

from mirage_jax.data.sources.folder import FolderSource
from mirage_jax.evaluation import episodes
from mirage_jax.geometry.cameras import invert_rigid
from tests.data.sources.npz_test import write


def pose_of(i):
  pose = np.eye(4)
  pose[0, 3] = 0.1 * i
  return pose


def write_folder(folder, frames=10, depth=True):
  """Frame i is a flat picture of brightness 20 i, seen from x = i / 10."""
  folder.mkdir()
  entries = []
  for i in range(frames):
    rgb = np.full((24, 36, 3), 20 * i, np.uint8)
    Image.fromarray(rgb).save(folder / f'{i}.png')
    entry = {'file_path': f'{i}.png', 'transform_matrix': pose_of(i).tolist()}
    if depth:
      metres = np.full((24, 36), 3000, np.uint16)
      Image.fromarray(metres).save(folder / f'{i}_depth.png')
      entry['depth_file_path'] = f'{i}_depth.png'
    entries.append(entry)
  lens = {'fl_x': 30.0, 'fl_y': 30.0, 'cx': 18.0, 'cy': 12.0, 'w': 36, 'h': 24}
  (folder / 'transforms.json').write_text(
    json.dumps({**lens, 'camera_model': 'PINHOLE', 'frames': entries})
  )
  return str(folder)


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
  return write_folder(tmp_path_factory.mktemp('scenes') / 'wall')


@pytest.fixture
def request_of(folder):
  def make(path, **changes):
    base = episodes.Request(folder, path, 3, 4, 12, 12)
    return dataclasses.replace(base, **changes)

  return make


def brightness(clip):
  return np.asarray(clip.rgb)[:, 0, 0, 0] // 20


def test_the_clips_own_path_is_its_frames(request_of):
  scene = episodes.make_scene(request_of('clip', start=2))
  assert scene.known and scene.clip.rgb.shape == (7, 12, 12, 3)
  np.testing.assert_array_equal(brightness(scene.clip), np.arange(2, 9))
  np.testing.assert_array_equal(
    brightness(episodes.make_scene(request_of('clip', every=1)).clip), range(7)
  )


def test_out_and_back_ends_where_it_began(request_of):
  scene = episodes.make_scene(request_of('out_and_back', every=2))
  np.testing.assert_array_equal(brightness(scene.clip), [0, 2, 4, 6, 4, 2, 0])
  poses = scene.clip.world_from_camera
  np.testing.assert_array_equal(poses[0], poses[-1])
  assert (np.diff(scene.clip.time_s) > 0).all()


@pytest.mark.parametrize('path', ['orbit', 'pan'])
def test_made_up_paths_return_to_the_last_observed_camera(path, request_of):
  scene = episodes.make_scene(request_of(path))
  assert not scene.known
  poses = scene.clip.world_from_camera
  np.testing.assert_allclose(poses[-1], poses[2], atol=1e-5)
  assert not scene.clip.rgb[3:].any() and not scene.clip.depth_m[3:].any()


def test_a_file_of_poses_is_followed_exactly(folder, request_of):
  scene = episodes.make_scene(request_of(f'{folder}/transforms.json'))
  poses = scene.clip.world_from_camera[3:]
  np.testing.assert_allclose(poses[:, 0, 3], [0, 0.3, 0.6, 0.9], atol=1e-6)


def test_a_folder_has_as_many_episodes_as_it_holds(request_of):
  clips = episodes.open_episodes(request_of('clip'), 8)
  assert [int(brightness(clip)[0]) for clip in clips] == [0, 3]
  assert len(episodes.open_episodes(request_of('clip'), 1)) == 1


def test_what_training_held_out_is_apart(folder, request_of):
  """Of ten frames in clips of three, training holds out the last three."""
  trained = {int(x) for clip in FolderSource(folder, 3, split='train')
             for x in brightness(clip)}  # fmt: skip
  request = request_of('out_and_back', observed=2, generated=3, clip=3)
  (test,) = episodes.open_episodes(
    dataclasses.replace(request, split='test'), 8
  )
  assert brightness(test).tolist() == [7, 8, 9, 8, 7]
  assert trained == set(range(7))
  short = dataclasses.replace(request, split='test', generated=8)
  with pytest.raises(ValueError, match='has 3 readable frames'):
    episodes.open_episodes(short, 8)


@pytest.mark.parametrize(
  'path,changes,message',
  [
    ('sideways', {}, "unknown camera path 'sideways'.*out_and_back"),
    ('none.json', {}, 'none.json'),
    ('clip', {'generated': 20}, '10 readable frames, this path needs 23'),
    ('clip', {'source': 'roms'}, "unknown source 'roms'"),
    ('loop', {'source': '/no/folder'}, "unknown camera path 'loop'"),
  ],
)
def test_what_there_is_not_is_named(path, changes, message, request_of):
  with pytest.raises((ValueError, FileNotFoundError), match=message):
    episodes.make_scene(request_of(path, **changes))


@pytest.mark.slow
@pytest.mark.parametrize('path', ['out_and_back', 'pan'])
def test_worlds_have_the_truth_along_every_path(path, request_of):
  wanted = request_of(path, source='rooms', generated=12)
  scene = episodes.make_scene(wanted, 1)
  assert scene.known and scene.clip.rgb.shape == (15, 12, 12, 3)
  first = scene.clip.world_from_camera[0 if path == 'out_and_back' else 2]
  np.testing.assert_allclose(
    invert_rigid(first) @ scene.clip.world_from_camera[-1],
    np.eye(4),
    atol=1e-3,
  )
  assert (scene.clip.depth_m > 0).mean() > 0.9
  again = episodes.make_scene(wanted, 1)
  np.testing.assert_array_equal(again.clip.rgb, scene.clip.rgb)


def test_recorded_episodes_are_cut_and_resized(tmp_path):
  path = str(write(tmp_path))
  request = episodes.Request(path, 'clip', 1, 1, 4, 4)
  clips = episodes.open_episodes(request, 3)
  assert len(clips) == 3 and clips[0].rgb.shape == (2, 4, 4, 3)
  assert clips[0].object_id.shape == (2, 4, 4)
  scene = episodes.make_scene(request, 1)
  np.testing.assert_array_equal(scene.clip.rgb, clips[1].rgb)
  assert scene.known
  with pytest.raises(ValueError, match="give 'clip'"):
    episodes.make_scene(dataclasses.replace(request, camera_path='pan'))
  with pytest.raises(ValueError, match='clips of 3 frames, 9 are asked'):
    episodes.open_episodes(dataclasses.replace(request, generated=8), 3)
