import numpy as np
import pytest

from mirage_jax.data.readers import transforms
from tests.data import posed_folder


def test_opengl_camera_becomes_opencv(tmp_path):
  """A point ahead of the OpenGL camera (-z) lies ahead in OpenCV (+z)."""
  posed_folder.write_folder(tmp_path, frames=1)
  gl = posed_folder.opengl_pose()
  cv = transforms.read_transforms(tmp_path)[0].pose
  for in_gl, in_cv in [
    ([0, 0, -2, 1], [0, 0, 2, 1]),  # ahead
    ([0, 1, 0, 1], [0, -1, 0, 1]),  # up
    ([1, 0, 0, 1], [1, 0, 0, 1]),  # right
  ]:
    np.testing.assert_allclose(gl @ in_gl, cv @ in_cv, atol=1e-6)


def test_applied_transform_changes_nothing(tmp_path):
  """It says what the poses already went through."""
  posed_folder.write_folder(tmp_path)
  before = transforms.read_cameras(tmp_path)
  posed_folder.edit(
    tmp_path, applied_transform=np.eye(4)[[1, 0, 2]].tolist(), applied_scale=3.0
  )
  after = transforms.read_cameras(tmp_path)
  np.testing.assert_array_equal(
    before.world_from_camera, after.world_from_camera
  )


def test_frame_intrinsics_win_over_shared_ones(tmp_path):
  posed_folder.write_folder(tmp_path)
  posed_folder.edit_frame(tmp_path, 1, fl_x=32.0)
  intrinsics = transforms.read_cameras(tmp_path).intrinsics
  np.testing.assert_allclose(intrinsics[:, 0], [1.25, 2.0, 1.25])
  np.testing.assert_allclose(intrinsics[:, 2:], 0.5)


def test_angle_of_view_gives_the_focal_length(tmp_path):
  posed_folder.write_folder(tmp_path)
  posed_folder.edit(
    tmp_path, fl_x=None, fl_y=None, cx=None, cy=None, camera_angle_x=np.pi / 2
  )
  np.testing.assert_allclose(
    transforms.read_cameras(tmp_path).intrinsics[0],
    [0.5, 0.5 * 16 / 12, 0.5, 0.5],
    rtol=1e-6,
  )


def test_poses_are_returned_as_exact_rotations(tmp_path):
  """Rounded decimals in the file do not reach the geometry."""
  posed_folder.write_folder(tmp_path)
  rounded = np.round(posed_folder.opengl_pose(), 3).tolist()
  posed_folder.edit_frame(tmp_path, 0, transform_matrix=rounded)
  pose = transforms.read_cameras(tmp_path).world_from_camera[0]
  np.testing.assert_allclose(
    pose[:3, :3] @ pose[:3, :3].T, np.eye(3), atol=1e-6
  )


def scaled(factor):
  pose = posed_folder.opengl_pose()
  pose[:3, :3] *= factor
  return pose.tolist()


@pytest.mark.parametrize(
  ('fields', 'message'),
  [
    ({'transform_matrix': None}, "frame 1 .* has no 'transform_matrix'"),
    ({'transform_matrix': [[1, 0], [0, 1]]}, 'frame 1 .* no 4x4 matrix'),
    ({'transform_matrix': 'eye'}, 'frame 1 .* no 4x4 matrix'),
    ({'transform_matrix': scaled(np.nan)}, 'frame 1 .* NaN'),
    ({'transform_matrix': scaled(2)}, 'frame 1 .* no rotation'),
    ({'transform_matrix': scaled(-1)}, 'frame 1 .* no rotation'),
    ({'file_path': None}, "frame 1 has no 'file_path'"),
    ({'camera_model': 'OPENCV_FISHEYE'}, "camera_model 'OPENCV_FISHEYE'"),
    ({'camera_model': 3}, 'frame 1 .* camera_model 3'),
    ({'fl_x': -5.0}, 'frame 1 .* focal lengths'),
    ({'fl_x': 'wide'}, "frame 1 .* 'fl_x' is 'wide'"),
    ({'cx': float('nan')}, "frame 1 .* 'cx' is nan"),
    ({'w': 0}, "frame 1 .* 'w' x 'h' is 0x12"),
  ],
)
def test_bad_frames_get_one_line(tmp_path, fields, message):
  posed_folder.write_folder(tmp_path)
  posed_folder.edit_frame(tmp_path, 1, **fields)
  with pytest.raises(ValueError, match=message) as error:
    transforms.read_cameras(tmp_path)
  assert '\n' not in str(error.value)
  assert 'transforms.json' in str(error.value)


@pytest.mark.parametrize(
  ('text', 'message'),
  [
    ('{"frames": [', 'no valid JSON'),
    ('[]', 'no frames'),
    ('{}', 'no frames'),
    ('{"frames": []}', 'no frames'),
    ('{"frames": {"a": 1}}', 'no frames'),
    ('{"frames": [3]}', "frame 0 has no 'file_path'"),
  ],
)
def test_bad_files_get_one_line(tmp_path, text, message):
  (tmp_path / 'transforms.json').write_text(text)
  with pytest.raises(ValueError, match=message) as error:
    transforms.read_transforms(tmp_path)
  assert '\n' not in str(error.value)


def test_bytes_that_are_no_text(tmp_path):
  (tmp_path / 'transforms.json').write_bytes(b'\xff\xfe{}')
  with pytest.raises(ValueError, match='no valid JSON'):
    transforms.read_transforms(tmp_path)


def test_missing_folder_and_missing_file(tmp_path):
  for path in (tmp_path, tmp_path / 'nowhere'):
    with pytest.raises(FileNotFoundError, match='expected a folder'):
      transforms.read_transforms(path)
