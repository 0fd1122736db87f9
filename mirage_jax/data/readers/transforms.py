"""The `transforms.json` of the nerfstudio layout: poses and lenses.

Poses are camera-to-world with OpenGL axes (x right, y up, z backward) and
become OpenCV axes here. `applied_transform` and `applied_scale` record what was
*already* applied to the poses of the file, hence nothing is done with them;
lengths are taken as metres. Layout:
https://docs.nerf.studio/quickstart/data_conventions.html
"""

import dataclasses
import json
import math
import pathlib
from typing import Any

import numpy as np

from mirage_jax.arrays import Float
from mirage_jax.data.readers.undistortion import Lens
from mirage_jax.geometry.cameras import Cameras

# Lenses that are a pinhole with radial and tangential terms.
CAMERA_MODELS = (
  'PINHOLE',
  'OPENCV',
  'SIMPLE_PINHOLE',
  'SIMPLE_RADIAL',
  'RADIAL',
)
OPENCV_FROM_OPENGL = np.diag([1.0, -1.0, -1.0, 1.0])


@dataclasses.dataclass(frozen=True)
class Entry:
  """One entry of `frames`, its own fields laid over the file's.

  Attributes:
    index: position in `frames`.
    where: file, frame and image, to begin an error with.
    fields: everything the file says about the frame.
    pose: `world_from_camera` `[4, 4]`, OpenCV axes.
  """

  index: int
  where: str
  fields: dict[str, Any]
  pose: np.ndarray


def transforms_file(path) -> pathlib.Path:
  """The `transforms.json` of a folder, or `path` if it is one."""
  path = pathlib.Path(path)
  file = path / 'transforms.json' if path.is_dir() else path
  if not file.is_file():
    raise FileNotFoundError(
      f"no such file '{file}'; expected a folder with a transforms.json in the "
      'nerfstudio layout'
    )
  return file


def read_transforms(path) -> list[Entry]:
  """All entries of a folder's `transforms.json`, none of them skipped.

  Raises:
    FileNotFoundError: no such folder or file.
    ValueError: invalid JSON, no frames, an unknown lens or a bad pose.
  """
  file = transforms_file(path)
  content = _read_json(file)
  header = {key: value for key, value in content.items() if key != 'frames'}
  entries = []
  for index, frame in enumerate(content['frames']):
    name = frame.get('file_path') if isinstance(frame, dict) else None
    if not isinstance(name, str):
      raise ValueError(
        f"{file}: frame {index} has no 'file_path'; expected the path of its "
        'image, relative to the file'
      )
    where, fields = f"{file}: frame {index} ('{name}')", header | frame
    _check_camera_model(fields, where)
    entries.append(Entry(index, where, fields, read_pose(frame, where)))
  return entries


def read_cameras(path) -> Cameras:
  """The cameras `[t]` of a `transforms.json`, without reading any image.

  They can steer a camera through another scene. Distortion is ignored.

  Raises:
    FileNotFoundError, ValueError: as `read_transforms`; `w` or `h` missing.
  """
  intrinsics, entries = [], read_transforms(path)
  for entry in entries:
    h, w = read_size(entry.fields, entry.where)
    pixels = read_intrinsics(entry.fields, h, w, entry.where)
    intrinsics.append(pixels / [w, h, w, h])
  return Cameras(
    np.array(intrinsics, np.float32), np.stack([e.pose for e in entries])
  )


def read_pose(entry: dict[str, Any], where: str) -> Float[np.ndarray, '4 4']:
  """`world_from_camera` with OpenCV axes from an entry of `frames`."""
  if 'transform_matrix' not in entry:
    raise ValueError(
      f"{where} has no 'transform_matrix'; expected a 4x4 camera-to-world pose"
    )
  try:
    pose = np.array(entry['transform_matrix'], np.float64)
  except (TypeError, ValueError):
    pose = np.zeros(0)
  if pose.shape not in ((4, 4), (3, 4)):
    raise ValueError(
      f"{where}: 'transform_matrix' is no 4x4 matrix of numbers; write the "
      'camera-to-world pose as four rows of four'
    )
  if not np.isfinite(pose).all():
    raise ValueError(
      f"{where}: 'transform_matrix' has NaN or infinite values; remove the "
      'frame from the file or repair its pose'
    )
  return opencv_pose(pose, f"{where}: 'transform_matrix'")


def opencv_pose(
  pose: Float[np.ndarray, '_ 4'], where: str
) -> Float[np.ndarray, '4 4']:
  """`world_from_camera` with OpenCV axes from one with OpenGL axes.

  Raises:
    ValueError: it is no rigid pose; begins with `where`.
  """
  rotation = pose[:3, :3]
  error = np.abs(rotation @ rotation.T - np.eye(3)).max()
  if not error <= 1e-2 or np.linalg.det(rotation) < 0:
    raise ValueError(
      f'{where} holds no rotation (R R^T differs from 1 by '
      f'{error:.2g}, determinant {np.linalg.det(rotation):.2g}); expected a '
      'rigid pose: remove scale, shear and reflection'
    )
  u, _, vt = np.linalg.svd(rotation)
  rigid = np.eye(4)
  rigid[:3, :3], rigid[:3, 3] = u @ vt, pose[:3, 3]
  return (rigid @ OPENCV_FROM_OPENGL).astype(np.float32)


def rotation_of(
  quaternion: Float[np.ndarray, '*b 4'],
) -> Float[np.ndarray, '*b 3 3']:
  """Rotations of quaternions `x, y, z, w` of any length but 0."""
  length = np.linalg.norm(quaternion, axis=-1, keepdims=True)
  x, y, z, w = np.moveaxis(quaternion / length, -1, 0)
  rows = [
    [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
    [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
    [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
  ]
  return np.stack([np.stack(row, -1) for row in rows], -2)


def number(fields: dict[str, Any], key: str, where: str) -> float:
  """A finite number of a frame's fields."""
  value = fields.get(key)
  if isinstance(value, bool) or not isinstance(value, int | float):
    raise ValueError(
      f"{where}: '{key}' is {value!r}; expected a number for all frames or for "
      'each of them'
    )
  if not math.isfinite(value):
    raise ValueError(f"{where}: '{key}' is {value}; expected a finite number")
  return float(value)


def read_intrinsics(
  fields: dict[str, Any], height: float, width: float, where: str
) -> Float[np.ndarray, '4']:
  """Pixel intrinsics at `h, w` of the file, from any of its conventions."""
  if 'fl_x' not in fields and 'camera_angle_x' in fields:
    angle = number(fields, 'camera_angle_x', where)
    fields = {'fl_x': 0.5 * width / math.tan(0.5 * angle)} | fields
  fx = number(fields, 'fl_x', where)
  fields = {'fl_y': fx, 'cx': 0.5 * width, 'cy': 0.5 * height} | fields
  fy, cx, cy = (number(fields, key, where) for key in ('fl_y', 'cx', 'cy'))
  if min(fx, fy) <= 0:
    raise ValueError(
      f"{where}: focal lengths are {fx:g}, {fy:g}; expected 'fl_x' and 'fl_y' "
      'in pixels, above 0'
    )
  return np.array([fx, fy, cx, cy])


def read_size(fields: dict[str, Any], where: str) -> tuple[float, float]:
  """Height and width that the intrinsics belong to, pixels."""
  h, w = (number(fields, key, where) for key in ('h', 'w'))
  if min(h, w) <= 0:
    raise ValueError(
      f"{where}: 'w' x 'h' is {w:g}x{h:g}; expected the size of the image"
    )
  return h, w


def read_lens(fields: dict[str, Any], where: str) -> Lens:
  """The distortion; fields that are absent are 0, a PINHOLE has none."""
  if fields.get('camera_model', 'OPENCV').endswith('PINHOLE'):
    return Lens()
  names = [field.name for field in dataclasses.fields(Lens)]
  return Lens(
    **{name: number({name: 0.0} | fields, name, where) for name in names}
  )


def _check_camera_model(fields: dict[str, Any], where: str) -> None:
  model = fields.get('camera_model', 'OPENCV')
  if model not in CAMERA_MODELS:
    raise ValueError(
      f'{where}: unknown camera_model {model!r}; have '
      f'{", ".join(CAMERA_MODELS)}: undistort other lenses to a PINHOLE first'
    )


def _read_json(file: pathlib.Path) -> dict[str, Any]:
  try:
    content = json.loads(file.read_text(encoding='utf-8'))
  except (json.JSONDecodeError, UnicodeDecodeError) as error:
    raise ValueError(
      f'{file} is no valid JSON ({error}); it may be truncated: write it again'
    ) from error
  frames = content.get('frames') if isinstance(content, dict) else None
  if not isinstance(frames, list) or not frames:
    raise ValueError(
      f"{file} has no frames; expected a non-empty list under 'frames'"
    )
  return content
