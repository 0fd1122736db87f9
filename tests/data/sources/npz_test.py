"""Recorded episodes: read as written, and what cannot be right is named."""

import numpy as np
import pytest

from mirage_jax.data.sources.catalog import open_source
from mirage_jax.data.sources.npz import NpzSource

EPISODES, FRAMES, HEIGHT, WIDTH = 8, 3, 4, 6


def arrays(**changes):
  rng = np.random.default_rng(0)
  shape = (EPISODES, FRAMES, HEIGHT, WIDTH)
  pose = np.tile(np.eye(4), (EPISODES, FRAMES, 1, 1))
  pose[..., :3, 3] = rng.normal(size=(EPISODES, FRAMES, 3))
  lens = np.array([[5.0, 0, 3], [0, 4, 2], [0, 0, 1]])
  made = {
    'rgb': rng.integers(0, 255, (*shape, 3)).astype(np.uint8),
    'depth': rng.uniform(0, 3, shape),
    'c2w': pose,
    'K': lens,
    'label': rng.integers(0, 3, shape),
  }
  made |= changes
  return {name: x for name, x in made.items() if x is not None}


def write(folder, **changes):
  path = folder / 'clips.npz'
  np.savez(path, **arrays(**changes))
  return path


def test_episodes_are_clips_with_opencv_cameras(tmp_path):
  source = open_source(str(write(tmp_path)))
  made = arrays()
  assert len(source) == len(list(source)) == EPISODES
  clip = source[2]
  np.testing.assert_array_equal(clip.rgb, made['rgb'][2])
  np.testing.assert_allclose(clip.depth_m, made['depth'][2], rtol=1e-6)
  np.testing.assert_array_equal(clip.object_id, made['label'][2])
  np.testing.assert_allclose(clip.intrinsics[0], [5 / 6, 1, 0.5, 0.5])
  flipped = np.diag([1, -1, -1])
  np.testing.assert_allclose(clip.world_from_camera[1, :3, :3], flipped)
  np.testing.assert_allclose(
    clip.world_from_camera[:, :3, 3], made['c2w'][2, :, :3, 3], rtol=1e-6
  )
  np.testing.assert_allclose(clip.time_s, [0, 0.1, 0.2])


def test_lenses_may_differ_and_labels_may_lack(tmp_path):
  lens = np.tile(arrays()['K'], (EPISODES, 1, 1))
  lens[3, 0, 0] = 12
  times = np.tile([1.0, 2.0, 4.0], (EPISODES, 1))
  clip = NpzSource(write(tmp_path, K=lens, label=None, time_s=times))[3]
  assert clip.object_id is None and clip.intrinsics[0, 0] == 2
  assert clip.time_s.tolist() == [1, 2, 4]


def test_large_labels_are_counted_anew(tmp_path):
  colours = arrays()['label'] * 0x10203
  source = NpzSource(write(tmp_path, label=colours))
  np.testing.assert_array_equal(source[2].object_id, arrays()['label'][2])


def test_episodes_have_splits(tmp_path):
  path = write(tmp_path)
  sizes = [len(NpzSource(path, split)) for split in ('all', 'train', 'test')]
  assert sizes == [8, 7, 1]
  with pytest.raises(ValueError, match="unknown split 'val'"):
    NpzSource(path, 'val')


SHAPE = (EPISODES, FRAMES, HEIGHT, WIDTH)


@pytest.mark.parametrize(
  'changes, words',
  [
    ({'label': np.full(SHAPE, -1)}, 'label is int64, least -1; expected whole'),
    ({'label': np.zeros(SHAPE)}, 'label is float64'),
    ({'depth': None}, "has no array 'depth'; expected rgb, depth, c2w and K"),
    ({'rgb': np.zeros((*SHAPE, 3), np.float32)}, 'rgb is float32'),
    ({'depth': np.zeros((2, 2, 2, 2))}, 'depth is (2, 2, 2, 2); expected'),
    ({'depth': np.full(SHAPE, np.nan)}, 'negative, infinite or NaN'),
    ({'c2w': np.zeros((8, 3, 4, 4))}, 'c2w of episode 0, frame 0 holds no rot'),
    ({'K': np.eye(2)}, 'K is (2, 2); expected [3, 3]'),
    ({'K': np.zeros((3, 3))}, 'focal lengths that are not above 0'),
  ],
)
def test_what_cannot_be_right_is_named(tmp_path, changes, words):
  with pytest.raises(ValueError) as error:
    NpzSource(write(tmp_path, **changes))
  assert words in str(error.value)


def test_files_that_are_none_are_named(tmp_path):
  with pytest.raises(FileNotFoundError, match='no such file'):
    NpzSource(tmp_path / 'none.npz')
  path = write(tmp_path)
  path.write_bytes(path.read_bytes()[:200])
  with pytest.raises(ValueError, match='no readable .npz'):
    NpzSource(path)
