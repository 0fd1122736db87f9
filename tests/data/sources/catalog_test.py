import dataclasses

import chex
import jax
import numpy as np
import pytest

from mirage_jax.data.sources.catalog import (
  FolderSource,
  MixedSource,
  WorldSource,
  open_source,
  turns_of,
)
from mirage_jax.data.sources.folder import SPLITS
from mirage_jax.geometry.clips import Clip, take_frames
from mirage_jax.worlds import WorldConfig
from tests.data import posed_folder
from tests.data.sources import npz_test

# As in the tests of datasets, so that both find it compiled.
TINY = WorldConfig(
  frames=3, height=8, width=8, rays_per_pixel=1, paths=('out_and_back',)
)


def test_a_world_is_decided_by_seed_split_and_index():
  source = WorldSource(TINY, 3, seed=5)
  again = WorldSource(TINY, 9, seed=5)
  chex.assert_trees_all_equal(source[1], again[1])
  others = (
    source[2],
    WorldSource(TINY, 3, seed=6)[1],
    WorldSource(TINY, 3, seed=5, split='test')[1],
  )
  for other in others:
    assert (other.world_from_camera != source[1].world_from_camera).any()
  assert all(isinstance(x, np.ndarray) for x in jax.tree.leaves(source[1]))


def test_the_cache_is_the_same_clip_and_stays_in_its_budget():
  kept = WorldSource(TINY, 3)
  assert kept[0] is kept[0] and kept[-1] is kept[2]
  anew = WorldSource(TINY, 3, cache=False)
  assert anew[0] is not anew[0]
  chex.assert_trees_all_equal(anew[0], kept[0])
  small = WorldSource(TINY, 3, cache_gb=1e-6)
  with pytest.warns(UserWarning, match='cache full after 0 of 3 clips'):
    small[0]


def test_a_filled_source_renders_no_more(monkeypatch, capsys):
  source = WorldSource(TINY, 3)
  source.fill()
  assert 'rooms: 3/3 clips' in capsys.readouterr().err
  monkeypatch.setattr(source, '_render', lambda index: 1 / 0)
  assert len(list(source)) == 3


def test_folders_have_splits(tmp_path):
  """The last eighth of the frames is held out."""
  posed_folder.write_folder(tmp_path, frames=8)
  train, test = (FolderSource(tmp_path, split=s) for s in ('train', 'test'))
  np.testing.assert_array_equal(train.indices, range(7))
  np.testing.assert_array_equal(test.indices, [7])
  with pytest.raises(ValueError, match="unknown split 'val'; have all"):
    FolderSource(tmp_path, split='val')


def test_a_folder_is_cut_into_clips_that_overlap(tmp_path):
  posed_folder.write_folder(tmp_path, frames=7)
  source = FolderSource(tmp_path, frames=4, hop=3)
  assert len(source) == len(list(source)) == 2
  chex.assert_trees_all_equal(source[1], take_frames(source.clip, slice(3, 7)))
  assert len(FolderSource(tmp_path)[0].time_s) == 7
  with pytest.raises(ValueError, match='7 readable frames .* have 8'):
    FolderSource(tmp_path, frames=8)


def test_every_other_clip_of_a_folder_returns_in_training(tmp_path):
  posed_folder.write_folder(tmp_path, frames=9)
  plain = FolderSource(tmp_path, frames=5, split='train')
  source = open_source(str(tmp_path), frames=5, split='train')
  assert len(source) == 2 * len(plain)
  for i, clip in enumerate(plain):
    chex.assert_trees_all_equal(source[2 * i], clip)
    back = take_frames(clip, np.array([0, 1, 2, 1, 0]))
    back = dataclasses.replace(back, time_s=clip.time_s)
    chex.assert_trees_all_equal(source[2 * i + 1], back)
  assert len(open_source(str(tmp_path), frames=4, split='test')) == 1


def test_open_source(tmp_path):
  posed_folder.write_folder(tmp_path)
  assert len(open_source(str(tmp_path), stride=2)) == 1
  rooms = open_source('rooms', clips=3, height=8, frames=2)
  assert (rooms.config.kind, rooms.config.height, len(rooms)) == ('rooms', 8, 3)
  assert open_source('streets').config.kind == 'streets'


def test_recordings_come_as_long_and_large_as_worlds_would(tmp_path):
  asked = {'frames': 2, 'height': 6, 'width': 4}
  posed_folder.write_folder(tmp_path, frames=9)
  for name in (str(tmp_path), str(npz_test.write(tmp_path))):
    source = open_source(name, **asked, clips=5, rays_per_pixel=4)
    assert {clip.rgb.shape for clip in source} == {(2, 6, 4, 3)}
    chex.assert_trees_all_equal(source[0], source[0])
    with pytest.raises(ValueError, match='frames'):
      open_source(name, frames=10)[0]


def test_a_folder_holds_out_a_clip_if_it_can(tmp_path):
  posed_folder.write_folder(tmp_path, frames=9)
  sizes = [
    [len(FolderSource(tmp_path, frames, split=s).indices) for s in SPLITS]
    for frames in (None, 1, 4)
  ]
  assert sizes == [[9, 7, 2], [9, 7, 2], [9, 5, 4]]
  with pytest.raises(ValueError, match='expected 1 to 2'):
    FolderSource(tmp_path, 5, split='test')


@pytest.mark.parametrize(
  ('name', 'options', 'message'),
  [
    ('roms', {}, "unknown source 'roms'; have rooms, streets"),
    ('rooms', {'clip': 3}, "unknown option 'clip' .* clips"),
    ('rooms', {'clips': 0}, '0 clips'),
    ('rooms', {'split': 'val'}, "unknown split 'val'; have train, test"),
  ],
)
def test_bad_sources_get_one_line(name, options, message):
  with pytest.raises(ValueError, match=message):
    open_source(name, **options)


def test_an_index_outside_ends_an_iteration(tmp_path):
  posed_folder.write_folder(tmp_path)
  with pytest.raises(IndexError, match='clip 1 of a source of 1'):
    FolderSource(tmp_path)[1]


def blank_clip(time_s):
  return Clip(
    rgb=np.zeros((1, 2, 2, 3), np.uint8),
    depth_m=np.zeros((1, 2, 2), np.float32),
    intrinsics=np.ones((1, 4), np.float32),
    world_from_camera=np.eye(4, dtype=np.float32)[None],
    time_s=np.full(1, time_s, np.float32),
  )


def test_the_sources_of_a_mixture_take_turns():
  clips = [blank_clip(i) for i in range(5)]
  mixed = MixedSource([clips[:3], clips[3:]])
  assert len(mixed) == 4
  assert [int(clip.time_s[0]) for clip in mixed] == [0, 3, 1, 4]
  assert mixed[-1] is clips[4]
  with pytest.raises(ValueError, match='at least one'):
    MixedSource([])
  twice = MixedSource([clips[:3], clips[3:]], [1, 2])
  assert [int(clip.time_s[0]) for clip in twice] == [0, 3, 4]
  with pytest.raises(ValueError, match=r'weights \[1, 0\] of a mixture'):
    MixedSource([clips, clips], [1, 0])
  worlds = open_source('rooms, streets', clips=3, frames=2)
  assert isinstance(worlds, MixedSource) and len(worlds) == 6
  assert len(open_source('rooms*2,streets', clips=4, frames=2)) == 6
  assert turns_of('rooms*2,data/street') == ('rooms', 'rooms', 'street')
  assert turns_of('data/a.npz') == ('a',)
  with pytest.raises(ValueError, match="unknown source 'roms'"):
    open_source('rooms,roms', clips=2)
