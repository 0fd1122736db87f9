"""Recordings in other layouts, rewritten as folders in the nerfstudio one.

TUM RGB-D (https://cvg.cit.tum.de/data/datasets/rgbd-dataset/file_formats):
`rgb.txt`, `depth.txt` and `groundtruth.txt` name images and poses by their
time; poses are camera-to-world with OpenCV axes, as a position and a
quaternion; depth is in 1/5000 m.

RealEstate10K (https://google.github.io/realestate10k): a text file for each
clip, whose lines hold a time in microseconds, intrinsics over the image's
size, and a world-to-camera matrix with OpenCV axes; lengths are in units of
their own, and there is no depth.
"""

import dataclasses
import json
import os
import pathlib
import shutil
import tempfile
from collections.abc import Iterable, Sequence

import numpy as np
from PIL import Image

from mirage_jax.arrays import Float
from mirage_jax.data.readers import transforms
from mirage_jax.geometry.clips import Clip

TRANSFORMS = 'transforms.json'
APART_S = 0.02  # most that an image and its depth or pose may be apart
TUM_UNIT_M = 1 / 5000
# Focal lengths and centres in pixels of the three cameras, by a word in the
# names of their recordings; and what ROS takes for any other.
TUM_CAMERAS = {
  'freiburg1': (517.3, 516.5, 318.6, 255.3),
  'freiburg2': (520.9, 521.0, 325.1, 249.7),
  'freiburg3': (535.4, 539.2, 320.1, 247.6),
}
TUM_CAMERA = (525.0, 525.0, 319.5, 239.5)
IMAGES = ('.png', '.jpg', '.jpeg')


@dataclasses.dataclass(frozen=True)
class Shot:
  """A posed image.

  Attributes:
    image: its file.
    intrinsics: `fx, fy, cx, cy` in pixels.
    pose: `world_from_camera` `[4, 4]`, OpenCV axes.
    depth: a 16-bit file of z-depth, if there is one.
    k1: the lens's radial term.
  """

  image: pathlib.Path
  intrinsics: tuple[float, ...]
  pose: Float[np.ndarray, '4 4']
  depth: pathlib.Path | None = None
  k1: float = 0.0


def read_tum(path, intrinsics: Sequence[float] | None = None) -> list[Shot]:
  """The shots of a TUM RGB-D folder: images that have a pose at their time.

  Args:
    path: the folder.
    intrinsics: `fx, fy, cx, cy` in pixels; by default those of the camera
      that the folder's name tells of.

  Raises:
    FileNotFoundError: a list is missing.
    ValueError: a line that cannot be read, or no image with a pose.
  """
  root = pathlib.Path(path)
  rows = _rows(root / 'groundtruth.txt', 8)
  times = np.array([float(row[0]) for row in rows])
  poses = [_quaternion_pose(row, root / 'groundtruth.txt') for row in rows]
  depths: list[tuple[float, pathlib.Path]] = []
  if (root / 'depth.txt').exists():
    depths = [(float(t), root / x) for t, x in _rows(root / 'depth.txt', 2)]
  if intrinsics is None:
    named = [v for k, v in TUM_CAMERAS.items() if k in str(root.resolve())]
    intrinsics = named[0] if named else TUM_CAMERA
  shots = []
  for time, name in _rows(root / 'rgb.txt', 2):
    at = _nearest(times, float(time))
    depth = _nearest(np.array([t for t, _ in depths]), float(time))
    if at is not None:
      file = None if depth is None else depths[depth][1]
      shots.append(Shot(root / name, tuple(intrinsics), poses[at], file))
  if not shots:
    raise ValueError(
      f'{root}: no image has a pose within {APART_S} s; check that rgb.txt '
      'and groundtruth.txt count the time alike'
    )
  return shots


def read_realestate(path, images) -> list[Shot]:
  """The shots of a RealEstate10K camera file whose images are there.

  Args:
    path: the text file.
    images: a folder with an image `TIME.png` (or .jpg) for each line.

  Raises:
    FileNotFoundError: no such file, or none of the images.
    ValueError: a line that cannot be read.
  """
  path, images = pathlib.Path(path), pathlib.Path(images)
  shots = []
  for row in _rows(path, 19):
    numbers = _numbers(row, path)
    named = (images / f'{row[0]}{end}' for end in IMAGES)
    image = next((file for file in named if file.exists()), None)
    if image is None:
      continue
    with Image.open(image) as opened:
      width, height = opened.size
    fx, fy, cx, cy = numbers[1:5] * [width, height, width, height]
    view = np.eye(4)
    view[:3] = numbers[7:].reshape(3, 4)
    pose = np.linalg.inv(view).astype(np.float32)
    shots.append(Shot(image, (fx, fy, cx, cy), pose))
  if not shots:
    raise FileNotFoundError(
      f'{images} has no image for any line of {path}; expected TIME.png or '
      'TIME.jpg, with the time that begins the line'
    )
  return shots


def write_folder(
  shots: Iterable[Shot], folder: pathlib.Path, depth_unit_m: float = TUM_UNIT_M
) -> int:
  """Copies shots into a folder in the nerfstudio layout; returns how many.

  Args:
    shots: what to copy.
    folder: an empty one.
    depth_unit_m: metres of a unit of their depth files.
  """
  frames = []
  for index, shot in enumerate(shots):
    names = {'file_path': (shot.image, 'images')}
    if shot.depth is not None:
      names['depth_file_path'] = (shot.depth, 'depth')
    frame = {}
    for key, (file, kind) in names.items():
      frame[key] = f'{kind}/{index:05d}{file.suffix.lower()}'
      (folder / kind).mkdir(parents=True, exist_ok=True)
      shutil.copyfile(file, folder / frame[key])
    with Image.open(shot.image) as opened:
      frame |= dict(zip(('w', 'h'), opened.size, strict=True))
    lens = ('fl_x', 'fl_y', 'cx', 'cy')
    frame |= dict(zip(lens, map(float, shot.intrinsics), strict=True))
    if shot.k1:
      frame |= {'camera_model': 'SIMPLE_RADIAL', 'k1': float(shot.k1)}
    pose = shot.pose @ transforms.OPENCV_FROM_OPENGL
    frames.append(frame | {'transform_matrix': pose.tolist()})
  about = {
    'camera_model': 'PINHOLE',
    'depth_unit_scale_factor': depth_unit_m,
    'frames': frames,
  }
  text = json.dumps(about, indent=1) + '\n'
  (folder / TRANSFORMS).write_text(text, encoding='utf-8')
  return len(frames)


def write_clip(
  clip: Clip, folder: str | os.PathLike, depth_unit_m: float = 1e-3
) -> int:
  """Writes a clip `[t]` as a folder in the nerfstudio layout.

  Args:
    clip: NumPy arrays. Times are not kept: a folder has none.
    folder: an empty one, or none yet.
    depth_unit_m: metres of a unit of the depth images, which have 16 bits; a
      pixel that is farther than they reach gets no depth.

  Returns:
    How many frames there are.
  """
  height, width = clip.depth_m.shape[-2:]
  size = np.array([width, height, width, height])
  units = np.round(np.asarray(clip.depth_m) / depth_unit_m)
  units = np.where(units < 2**16, units, 0).astype(np.uint16)
  shots = []
  with tempfile.TemporaryDirectory() as name:
    for i, rgb in enumerate(clip.rgb):
      files = [
        pathlib.Path(name, f'{kind}{i}.png') for kind in ('rgb', 'depth')
      ]
      for file, image in zip(files, (rgb, units[i]), strict=True):
        Image.fromarray(np.asarray(image)).save(file)
      intrinsics = tuple(np.asarray(clip.intrinsics[i]) * size)
      pose = np.asarray(clip.world_from_camera[i])
      shots.append(Shot(files[0], intrinsics, pose, files[1]))
    return write_folder(shots, pathlib.Path(folder), depth_unit_m)


def copy_folder(path, folder: pathlib.Path, every: int = 1) -> int:
  """Copies every n-th frame of a folder in the nerfstudio layout."""
  file = transforms.transforms_file(path)
  entries = transforms.read_transforms(path)[::every]
  content = json.loads(file.read_text(encoding='utf-8'))
  content['frames'] = [content['frames'][entry.index] for entry in entries]
  for frame in content['frames']:
    for key in ('file_path', 'depth_file_path'):
      source = file.parent / (frame.get(key) or '')
      if source.is_file():
        target = folder / frame[key]
        if not target.resolve().is_relative_to(folder.resolve()):
          raise ValueError(
            f"{file}: '{frame[key]}' lies outside of the folder; move the "
            'image into it'
          )
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)
  text = json.dumps(content, indent=1) + '\n'
  (folder / TRANSFORMS).write_text(text, encoding='utf-8')
  return len(entries)


def _rows(file: pathlib.Path, columns: int) -> list[list[str]]:
  """The words of a file's lines; comments and other lines are left out.

  Raises:
    FileNotFoundError: no such file.
    ValueError: no line has so many words.
  """
  if not file.is_file():
    raise FileNotFoundError(f'no such file {file}')
  lines = file.read_text(encoding='utf-8', errors='replace').splitlines()
  words = [line.replace(',', ' ').split() for line in lines if line[:1] != '#']
  rows = [row for row in words if len(row) == columns]
  if not rows:
    raise ValueError(
      f'{file} has no line of {columns} columns; is it of another layout?'
    )
  return rows


def _numbers(row: Sequence[str], file: pathlib.Path) -> np.ndarray:
  try:
    return np.array([float(word) for word in row])
  except ValueError:
    raise ValueError(
      f"{file}: '{' '.join(row)}' is no line of numbers"
    ) from None


def _quaternion_pose(
  row: Sequence[str], file: pathlib.Path
) -> Float[np.ndarray, '4 4']:
  """The pose of `time x y z qx qy qz qw`."""
  numbers = _numbers(row, file)
  position, quaternion = numbers[1:4], numbers[4:]
  if not np.linalg.norm(quaternion) > 0:
    raise ValueError(f"{file}: '{' '.join(row)}' has no rotation")
  pose = np.eye(4, dtype=np.float32)
  pose[:3, :3] = transforms.rotation_of(quaternion)
  pose[:3, 3] = position
  return pose


def _nearest(times: np.ndarray, time: float) -> int | None:
  """The index of the nearest of `times`; None if none is near."""
  if not len(times):
    return None
  at = int(np.abs(times - time).argmin())
  return at if abs(times[at] - time) <= APART_S else None
