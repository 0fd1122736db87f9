"""Writes depth into a folder in the nerfstudio layout that has none."""

import functools
import json
import pathlib

import numpy as np
from PIL import Image

from mirage_jax.arrays import Float, Int
from mirage_jax.data.readers import transforms, undistortion
from mirage_jax.data.readers.undistortion import Lens

MOST = 2**16 - 1


def write_depth(
  folder: pathlib.Path,
  depth: Float[np.ndarray, 't h w'],
  indices: Int[np.ndarray, 't'],
  stride: int,
) -> None:
  """Writes depth of undistorted, smaller frames as files of their images' size.

  Depth is taken from the nearest pixel, and is 0 where an image shows more
  than its undistorted frame. It has 16 bits, and the largest fills them.

  Args:
    folder: with a `transforms.json`, whose `frames` get a `depth_file_path`.
    depth: z-depth as `read_folder` gave the frames, 0 = none.
    indices: of these frames in the file.
    stride: with which they were read.
  """
  file = transforms.transforms_file(folder)
  entries = transforms.read_transforms(folder)
  content = json.loads(file.read_text(encoding='utf-8'))
  unit = max(float(depth.max(initial=0)), 1e-9) / MOST
  (folder / 'depth').mkdir(exist_ok=True)
  for picture, index in zip(depth, indices, strict=True):
    entry, frame = entries[index], content['frames'][index]
    with Image.open(folder / entry.fields['file_path']) as image:
      width, height = image.size
    at = _pixels_in(entry, height, width, stride, *picture.shape)
    row, column, inside = at
    full = np.where(inside, picture[row, column], 0)
    name = f'depth/{index:05d}.png'
    whole = np.round(full / unit).astype(np.uint16)
    Image.fromarray(whole).save(folder / name)
    frame |= {'depth_file_path': name, 'depth_unit_scale_factor': unit}
  text = json.dumps(content, indent=1) + '\n'
  file.write_text(text, encoding='utf-8')


def _pixels_in(entry, height, width, stride, rows, columns):
  """Row and column of a frame for each pixel of its image; if it is inside."""
  declared = {'w': width, 'h': height} | entry.fields
  h, w = transforms.read_size(declared, entry.where)
  lens = transforms.read_lens(entry.fields, entry.where)
  pixels = transforms.read_intrinsics(entry.fields, h, w, entry.where)
  pixels = pixels * [width / w, height / h, width / w, height / h]
  at = _undistorted(lens, tuple(pixels.tolist()), height, width) / stride
  column, row = np.floor(at).astype(int).transpose(2, 0, 1)
  inside = (row >= 0) & (row < rows) & (column >= 0) & (column < columns)
  return np.clip(row, 0, rows - 1), np.clip(column, 0, columns - 1), inside


@functools.lru_cache(maxsize=2)  # frames mostly share a lens
def _undistorted(
  lens: Lens, intrinsics: tuple, height: int, width: int
) -> Float[np.ndarray, 'h w 2']:
  """Maps pixel centres of the pinhole image into the frame that was read."""
  uv = np.stack(
    np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5), axis=-1
  )
  if lens.is_pinhole:
    return uv
  given = np.array(intrinsics)
  pinhole = undistortion.pinhole_of(lens, given, height, width)
  return (
    lens.undistort((uv - given[2:]) / given[:2]) * pinhole[:2] + (pinhole[2:])
  )
