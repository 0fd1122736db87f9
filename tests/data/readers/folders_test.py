import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from mirage_jax.data.readers.folders import (
  downsample_depth,
  downsample_rgb,
  read_folder,
)
from tests.data import posed_folder
from tests.data.posed_folder import HEIGHT, WIDTH


def test_a_folder_becomes_a_clip(tmp_path):
  posed_folder.write_folder(tmp_path)
  with warnings.catch_warnings():
    warnings.simplefilter('error')
    clip, indices = read_folder(tmp_path)
  assert clip.rgb.shape == (3, HEIGHT, WIDTH, 3)
  np.testing.assert_array_equal(indices, [0, 1, 2])
  np.testing.assert_allclose(clip.depth_m[:, 0, 0], [1.0, 1.001, 1.002])
  np.testing.assert_allclose(
    clip.intrinsics[0], [1.25, 1.75, 0.5, 0.5], rtol=1e-6
  )
  np.testing.assert_allclose(clip.time_s, [0, 0.1, 0.2], rtol=1e-6)
  with Image.open(tmp_path / 'images/0001.png') as image:
    np.testing.assert_array_equal(clip.rgb[1], np.array(image))


def test_the_file_itself_may_be_named(tmp_path):
  posed_folder.write_folder(tmp_path)
  assert len(read_folder(tmp_path / 'transforms.json').indices) == 3


def test_depth_unit(tmp_path):
  posed_folder.write_folder(tmp_path, depth_unit_scale_factor=0.01)
  np.testing.assert_allclose(read_folder(tmp_path).clip.depth_m[0], 10.0)


def test_without_depth_there_are_no_readings(tmp_path):
  posed_folder.write_folder(tmp_path, depth=False)
  assert not read_folder(tmp_path).clip.depth_m.any()


def test_what_cannot_be_read_is_named_in_one_warning(tmp_path):
  """Images are skipped, depth is 0; the indices tell which entries are left."""
  posed_folder.write_folder(tmp_path, frames=5)
  (tmp_path / 'images/0001.png').unlink()
  (tmp_path / 'images/0002.png').write_bytes(b'no image')
  whole = (tmp_path / 'images/0003.png').read_bytes()
  (tmp_path / 'images/0003.png').write_bytes(whole[: len(whole) // 2])
  (tmp_path / 'depth/0004.png').unlink()
  with pytest.warns(UserWarning, match='4 files left out') as caught:
    clip, indices = read_folder(tmp_path)
  assert len(caught) == 1
  message = str(caught[0].message)
  for name in (
    'images/0001.png (missing)',
    'images/0002.png (unreadable)',
    'images/0003.png (unreadable)',
    'depth/0004.png (missing)',
  ):
    assert name in message
  np.testing.assert_array_equal(indices, [0, 4])
  np.testing.assert_allclose(clip.world_from_camera[:, 0, 3], [0, 4])
  np.testing.assert_allclose(clip.time_s, [0, 0.4], rtol=1e-6)
  assert clip.depth_m[0].all() and not clip.depth_m[1].any()


def test_images_may_be_scaled_copies(tmp_path):
  """`w` and `h` of the full size, images of a quarter of it."""
  posed_folder.write_folder(tmp_path)
  expected = read_folder(tmp_path).clip.intrinsics
  posed_folder.edit(
    tmp_path, w=4 * WIDTH, h=4 * HEIGHT, fl_x=80.0, fl_y=84.0, cx=32.0, cy=24.0
  )
  np.testing.assert_allclose(
    read_folder(tmp_path).clip.intrinsics, expected, rtol=1e-6
  )


def test_stride_keeps_the_camera(tmp_path):
  """Intrinsics are those of the part of the image that is left."""
  posed_folder.write_folder(tmp_path)
  whole, half = (read_folder(tmp_path, stride=s).clip for s in (1, 2))
  assert half.rgb.shape == (3, HEIGHT // 2, WIDTH // 2, 3)
  np.testing.assert_allclose(half.intrinsics, whole.intrinsics)
  fifth = read_folder(tmp_path, stride=5).clip  # 16 x 12 -> 3 x 2, 15 x 10
  pixels = fifth.intrinsics[0] * [15, 10, 15, 10]
  np.testing.assert_allclose(pixels, [20, 21, 8, 6], rtol=1e-6)


@settings(max_examples=50, deadline=None)
@given(
  hnp.arrays(np.float32, (6, 8), elements=st.sampled_from([0.0, 1.0, 2.5, 7.0]))
)
def test_strided_depth_is_the_nearest_reading(depth_m):
  small = downsample_depth(depth_m, 2)
  for row, column in np.ndindex(3, 4):
    block = depth_m[2 * row : 2 * row + 2, 2 * column : 2 * column + 2]
    readings = block[block > 0]
    expected = readings.min() if readings.size else 0
    assert small[row, column] == expected


def test_strided_colour_is_the_mean():
  rgb = np.zeros((4, 4, 3), np.uint8)
  rgb[0, 0] = 200
  np.testing.assert_array_equal(downsample_rgb(rgb, 2)[0, 0], [50] * 3)
  with pytest.raises(ValueError, match='stride 5 for images of 4x4'):
    downsample_rgb(rgb, 5)
  with pytest.raises(ValueError, match='stride 0'):
    downsample_rgb(rgb, 0)


def test_distorted_folders_are_undistorted(tmp_path):
  posed_folder.write_folder(tmp_path, k1=0.1, p2=0.01)
  distorted = read_folder(tmp_path).clip
  posed_folder.edit(tmp_path, camera_model='PINHOLE')
  pinhole = read_folder(tmp_path).clip
  assert not np.allclose(distorted.intrinsics, pinhole.intrinsics)
  assert (distorted.rgb != pinhole.rgb).any()
  np.testing.assert_allclose(distorted.depth_m, pinhole.depth_m)


def break_depth_size(path):
  posed_folder.save(path / 'depth/0001.png', np.ones((6, 8), np.uint16))


def break_depth_bits(path):
  posed_folder.save(path / 'depth/0001.png', np.ones((12, 16), np.uint8))


def break_depth_channels(path):
  posed_folder.save(path / 'depth/0001.png', np.ones((12, 16, 3), np.uint8))


def break_depth_unit(path):
  posed_folder.edit(path, depth_unit_scale_factor=-1)


def break_proportions(path):
  posed_folder.edit(path, w=24, h=24)


def break_one_size(path):
  posed_folder.save(path / 'images/0001.png', np.ones((24, 32, 3), np.uint8))
  posed_folder.edit_frame(path, 1, depth_file_path=None)


@pytest.mark.parametrize(
  ('damage', 'message'),
  [
    (break_depth_size, r'frame 1 .* depth is 8x6, its image 16x12'),
    (break_depth_channels, r'frame 1 .* depth is 16x12x3'),
    (break_depth_bits, r'frame 1 .* 8 bits'),
    (break_depth_unit, r'frame 0 .* depth_unit_scale_factor is -1'),
    (break_proportions, r'frame 0 .* 16x12, but the file says 24x24'),
    (break_one_size, r'frame 1 .* 32x24, the first one 16x12'),
  ],
)
def test_bad_images_get_one_line(tmp_path, damage, message):
  posed_folder.write_folder(tmp_path)
  damage(tmp_path)
  with pytest.raises(ValueError, match=message) as error:
    read_folder(tmp_path)
  assert '\n' not in str(error.value)


def test_a_folder_without_any_readable_image(tmp_path):
  posed_folder.write_folder(tmp_path)
  for file in (tmp_path / 'images').iterdir():
    file.unlink()
  with (
    pytest.warns(UserWarning, match='3 files'),
    pytest.raises(ValueError, match='none of the 3 images can be read'),
  ):
    read_folder(tmp_path)
