"""Clips of the game: depth that fits what is seen, and walks that return."""

import numpy as np
import pytest

from mirage_jax.capture import inspection
from mirage_jax.data.builders import ClipsConfig, prepare
from mirage_jax.data.builders.features import clip_features, to_example
from mirage_jax.data.sources.catalog import open_source
from mirage_jax.data.sources.doom import casting, game, levels, source, walking
from mirage_jax.data.sources.doom.source import DoomConfig, DoomSource
from mirage_jax.data.sources.tfds import TfdsSource

pytest.importorskip('vizdoom')

FRAMES, SIZE = 32, 64


@pytest.fixture(scope='module')
def clips():
  """Walks through levels that nobody trains on."""
  config = DoomConfig(FRAMES, SIZE, SIZE)
  made = DoomSource(config, clips=8, split='test')
  return [made[i] for i in range(6)]


def make_room() -> levels.Level:
  """A room of 512 x 256 units, its east half a step of 16 higher; no roof."""
  corners = [(0, 0), (0, 256), (256, 256), (512, 256), (512, 0), (256, 0)]
  points = np.array(corners, np.float64)
  start = np.concatenate([points, [(256, 256)]])
  end = np.concatenate([np.roll(points, -1, axis=0), [(256, 0)]])
  return levels.Level(
    start=start,
    end=end,
    right=np.array([0, 0, 1, 1, 1, 0, 0]),  # the step: west of it
    left=np.array([-1] * 6 + [1]),
    blocking=np.zeros(7, bool),
    floor=np.array([0.0, 16.0]),
    ceiling=np.array([128.0, 128.0]),
    sky=np.array([True, True]),
    things=np.array([[64.0, 128.0]]),
  )


def test_rays_meet_floors_steps_walls_and_sky():
  room = make_room()
  view = casting.View(np.array([64.0, 128.0, 41.0]), 0.0, (0.5, 0.5))
  seen = casting.cast(room, room.floor, room.ceiling, view, 200, 201)
  down = (np.arange(200) + 0.5) / 200 - 0.5  # of the rays in the middle
  column, sector = seen.depth[:, 100], seen.sector[:, 100]
  floor, upper = 41 / (2 * down), 25 / (2 * down)  # depths if they met those
  low = (down > 0) & (floor < 192)
  step = (down > 0) & (floor >= 192) & (upper < 192)
  raised = (down > 0) & (upper >= 192) & (upper < 448)
  wall = (np.abs(down) < 0.02) & ~raised & (down < 0)
  sky = down < -(128 - 41) / 448 / 2
  np.testing.assert_allclose(column[low], floor[low])
  np.testing.assert_allclose(column[step], 192)
  np.testing.assert_allclose(column[raised], upper[raised])
  np.testing.assert_allclose(column[wall], 448)
  np.testing.assert_array_equal(column[sky], 0)
  assert low.any() and step.any() and raised.any() and sky.any()
  np.testing.assert_array_equal(sector[low], 0)
  np.testing.assert_array_equal(sector[raised], 1)


def test_a_point_lies_over_its_sector():
  room = make_room()
  assert casting.first_sector(room, np.array([10.0, 10.0])) == 0
  assert casting.first_sector(room, np.array([300.0, 200.0])) == 1
  assert casting.first_sector(room, np.array([900.0, 10.0])) == levels.NONE


def test_walks_keep_from_walls_and_come_back():
  room = make_room()
  region = walking.find_region(room, 64.0, 128.0)
  assert region is not None
  for seed in range(5):
    make = np.random.default_rng(seed)
    position, angle = walking.make_walk(make, region, FRAMES)
    assert position.shape == (FRAMES, 2) and angle.shape == (FRAMES,)
    inside = (position >= 19) & (position <= [493, 237])
    assert inside.all()
    assert np.linalg.norm(position[-1] - position[0]) < 2
    assert np.ptp(angle) > 45  # it looks away on the way
    assert np.abs(np.diff(angle)).max() < 45
  high = make_room()
  high.floor[1] = 60.0
  region = walking.find_region(high, 64.0, 128.0)
  assert region is not None
  assert max(region.position(p)[0] for p in region.neighbours) < 256


def test_depth_fits_what_is_seen(clips):
  found = [inspection.inspect(clip).figures for clip in clips]
  warped, unwarped = (
    np.mean([figures[f'colour_error_{name}'] for figures in found])
    for name in ('warped', 'unwarped')
  )
  assert warped <= unwarped / 3
  assert np.mean([figures['depth_agrees'] for figures in found]) > 0.9
  assert sum(figures['revisits'] > 0 for figures in found) >= 5


def test_clips_have_all_their_truth(clips):
  declared = clip_features(FRAMES, SIZE, SIZE, game.OBJECTS)
  for clip in clips:
    assert clip.object_box.shape == (FRAMES, game.OBJECTS, 3)
    declared.encode_example(to_example(clip))
    np.testing.assert_array_equal(clip.depth_m == 0, clip.sky)
    assert np.isfinite(clip.depth_m).all() and clip.depth_m.max() < 500
  things = [clip for clip in clips if clip.object_id.any()]
  assert things
  for clip in things:
    t, row, column = np.argwhere(clip.object_id > 0)[0]
    number = clip.object_id[t, row, column] - 1
    view = np.linalg.inv(clip.world_from_camera[t])
    there = view[:3, :3] @ clip.object_position[t, number] + view[:3, 3]
    depth = clip.depth_m[t, row, column]
    assert abs(max(there[2], 1 / 32) - depth) < 0.1


def test_the_same_seed_gives_the_same_bits_in_any_order(clips):
  again = DoomSource(DoomConfig(FRAMES, SIZE, SIZE), clips=8, split='test')
  for i in (3, 1):
    for name, leaf in vars(again[i]).items():
      np.testing.assert_array_equal(leaf, getattr(clips[i], name), name)
  other = DoomSource(DoomConfig(4, SIZE, SIZE), 8, seed=1, split='test')
  assert (other[0].rgb[0] != clips[0].rgb[0]).any()


def test_splits_share_no_level():
  split = {name: set(source.split_levels(name)) for name in source.SPLITS}
  assert not split['train'] & split['test']
  assert not split['train'] & split['validation']
  assert not split['validation'] & split['test']
  assert min(map(len, split.values())) >= 10


def test_monsters_are_movers():
  made = DoomSource(DoomConfig(16, 32, 32, monsters=True), clips=6)
  assert any(made[i].dynamic.any() for i in range(6))


def test_it_is_a_source_and_a_dataset(tmp_path):
  options = {'frames': 2, 'height': 32, 'width': 32, 'rays_per_pixel': 4}
  opened = open_source('doom', clips=3, **options)
  assert len(opened) == 3 and opened[0].rgb.shape == (2, 32, 32, 3)
  config = ClipsConfig(world=DoomConfig(2, 32, 32), clips=3, test_clips=1)
  folder = prepare(tmp_path, config)
  for split in source.SPLITS:
    stored = TfdsSource(folder.name, folder.parent, split=split)
    played = DoomSource(config.world, len(stored), split=split)
    np.testing.assert_array_equal(stored[0].rgb, played[0].rgb)


@pytest.mark.parametrize(
  ('make', 'words'),
  [
    (lambda: DoomConfig(frames=0), '0 frames of 64 x 64; expected'),
    (lambda: DoomSource(DoomConfig(), split='tset'), "unknown split 'tset'"),
    (lambda: DoomSource(DoomConfig(), clips=0), '0 clips; expected'),
    (lambda: open_source('doom', monster=True), "unknown option 'monster'"),
    (
      lambda: levels.read_level(game.wad_files()[1], 'MAP99'),
      "has no level 'MAP99'; have MAP01",
    ),
    (lambda: levels.read_level(__file__, 'MAP01'), 'is no WAD; expected'),
  ],
)
def test_bad_input_is_told(make, words):
  with pytest.raises(ValueError, match=words):
    make()


def test_without_vizdoom_the_way_out_is_told(monkeypatch):
  monkeypatch.setitem(__import__('sys').modules, 'vizdoom', None)
  with pytest.raises(ValueError, match=r"pip install -e '\.\[vizdoom\]'"):
    game.package()
