"""Posed RGB-D folders in the nerfstudio layout, read as clips."""

import concurrent.futures
import functools
import pathlib
import warnings
from typing import NamedTuple

import numpy as np
from PIL import Image

from mirage_jax.arrays import Float, Int, UInt8
from mirage_jax.data.readers import transforms, undistortion
from mirage_jax.geometry.clips import Clip


class Folder(NamedTuple):
  """A read folder.

  Attributes:
    clip: the frames that could be read, in the order of `frames`.
    indices: position of each kept frame in the file's `frames`.
  """

  clip: Clip
  indices: Int[np.ndarray, 't']


class _Frame(NamedTuple):
  rgb: UInt8[np.ndarray, 'h w 3']
  depth_m: Float[np.ndarray, 'h w']
  intrinsics: Float[np.ndarray, '4']  # in pixels of rgb


def read_folder(path, *, stride: int = 1, fps: float = 10.0) -> Folder:
  """Reads a folder with a `transforms.json` as one clip.

  Distorted images are undistorted (colours bilinear, depth nearest). Frames
  whose image is missing or unreadable are skipped, and depth that is missing
  or unreadable is 0; one warning names them all. A folder without depth gives
  a depth of 0 everywhere.

  Args:
    path: the folder, or the file itself.
    stride: downsampling: mean colour and nearest valid depth of each
      `stride x stride` block; a rest at the right and lower border is cut off.
    fps: frames a second, for `time_s`; counts the entries of `frames`.

  Raises:
    FileNotFoundError: no such folder or file.
    ValueError: content that cannot be right; names file and frame.
  """
  root = transforms.transforms_file(path).parent
  entries = transforms.read_transforms(path)
  with concurrent.futures.ThreadPoolExecutor() as threads:
    read = list(threads.map(lambda e: _read_frame(root, e, stride), entries))
  _warn_skipped(root, [name for _, skipped in read for name in skipped])
  frames = [frame for frame, _ in read if frame is not None]
  kept = [e for e, (frame, _) in zip(entries, read, strict=True) if frame]
  if not frames:
    raise ValueError(
      f'{root}: none of the {len(entries)} images can be read (first: '
      f"'{entries[0].fields['file_path']}'); paths are relative to {root}"
    )
  _check_sizes(frames, kept)
  indices = np.array([entry.index for entry in kept])
  return Folder(_stack(frames, kept, indices / fps), indices)


def downsample_rgb(
  rgb: UInt8[np.ndarray, 'h w 3'], stride: int
) -> UInt8[np.ndarray, 'h2 w2 3']:
  """Mean colour of each `stride x stride` block."""
  return np.round(_blocks(rgb, stride).mean((1, 3))).astype(np.uint8)


def downsample_depth(
  depth_m: Float[np.ndarray, 'h w'], stride: int
) -> Float[np.ndarray, 'h2 w2']:
  """Nearest valid depth of each `stride x stride` block, 0 if none is."""
  blocks = _blocks(depth_m, stride)
  nearest = np.where(blocks > 0, blocks, np.inf).min((1, 3))
  return np.where(np.isfinite(nearest), nearest, 0).astype(np.float32)


def _blocks(image: np.ndarray, stride: int) -> np.ndarray:
  if not 1 <= stride <= min(image.shape[:2]):
    raise ValueError(
      f'stride {stride} for images of {image.shape[1]}x{image.shape[0]}; '
      'expected a whole number from 1 to the shorter side'
    )
  rows, columns = image.shape[0] // stride, image.shape[1] // stride
  image = image[: rows * stride, : columns * stride]
  return image.reshape(rows, stride, columns, stride, *image.shape[2:])


def _read_frame(
  root: pathlib.Path, entry: transforms.Entry, stride: int
) -> tuple[_Frame | None, list[str]]:
  """One undistorted, downsampled frame, and the files it could not read."""
  skipped: list[str] = []
  rgb = _read_image(root / entry.fields['file_path'], 'RGB', skipped)
  if rgb is None:
    return None, skipped
  intrinsics = _scaled_intrinsics(entry, *rgb.shape[:2])
  frame = _Frame(rgb, _read_depth(root, entry, rgb, skipped), intrinsics)
  frame = _undistort(frame, transforms.read_lens(entry.fields, entry.where))
  if stride != 1:
    frame = _Frame(
      downsample_rgb(frame.rgb, stride),
      downsample_depth(frame.depth_m, stride),
      frame.intrinsics / stride,
    )
  return frame, skipped


def _scaled_intrinsics(
  entry: transforms.Entry, height: int, width: int
) -> Float[np.ndarray, '4']:
  """Intrinsics in pixels of an image that may be a scaled copy of `w x h`."""
  declared = {'w': width, 'h': height} | entry.fields
  h, w = transforms.read_size(declared, entry.where)
  # A scaled copy rounds each side to whole pixels.
  if abs(width / w * h - height) > 1 + 0.5 * height / h:
    raise ValueError(
      f'{entry.where}: the image is {width}x{height}, but the file says '
      f'{w:g}x{h:g}; correct w and h, or give images of the same proportions'
    )
  intrinsics = transforms.read_intrinsics(entry.fields, h, w, entry.where)
  return intrinsics * [width / w, height / h, width / w, height / h]


def _read_image(
  file: pathlib.Path, mode: str | None, skipped: list[str]
) -> np.ndarray | None:
  """Pixels of an image file; None (and noted) if it cannot be read."""
  try:
    with Image.open(file) as image:
      return np.array(image.convert(mode) if mode else image)
  except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
    why = 'unreadable' if file.is_file() else 'missing'
    skipped.append(f'{file.parent.name}/{file.name} ({why})')
    return None


def _read_depth(
  root: pathlib.Path,
  entry: transforms.Entry,
  rgb: np.ndarray,
  skipped: list[str],
) -> Float[np.ndarray, 'h w']:
  """Metres; 0 where there is no reading or no file."""
  nothing = np.zeros(rgb.shape[:2], np.float32)
  if not entry.fields.get('depth_file_path'):
    return nothing
  depth = _read_image(root / entry.fields['depth_file_path'], None, skipped)
  if depth is None:
    return nothing
  if depth.shape != rgb.shape[:2]:
    size = 'x'.join(
      map(str, (depth.shape[1], depth.shape[0], *depth.shape[2:]))
    )
    raise ValueError(
      f'{entry.where}: depth is {size}, its image {rgb.shape[1]}x'
      f'{rgb.shape[0]}; resize depth to the image with nearest neighbour'
    )
  if depth.dtype == np.uint8:
    raise ValueError(
      f"{entry.where}: depth '{entry.fields['depth_file_path']}' has 8 bits; "
      'expected a 16-bit PNG in units of depth_unit_scale_factor'
    )
  fields = {'depth_unit_scale_factor': 1e-3} | entry.fields
  unit = transforms.number(fields, 'depth_unit_scale_factor', entry.where)
  if unit <= 0:
    raise ValueError(
      f'{entry.where}: depth_unit_scale_factor is {unit:g}; expected metres a '
      'unit, e.g. 0.001'
    )
  depth_m = depth.astype(np.float32) * np.float32(unit)
  return np.where(np.isfinite(depth_m) & (depth_m > 0), depth_m, nothing)


def _undistort(frame: _Frame, lens: undistortion.Lens) -> _Frame:
  if lens.is_pinhole:
    return frame
  height, width = frame.rgb.shape[:2]
  intrinsics = tuple(frame.intrinsics.tolist())
  pinhole, at = _undistortion_map(lens, intrinsics, height, width)
  return _Frame(
    undistortion.sample_bilinear(frame.rgb, at),
    undistortion.sample_nearest(frame.depth_m, at),
    pinhole,
  )


@functools.lru_cache(maxsize=2)  # frames mostly share a lens
def _undistortion_map(
  lens: undistortion.Lens, intrinsics: tuple, height: int, width: int
) -> tuple[np.ndarray, np.ndarray]:
  """The pinhole's intrinsics, and where each of its pixels comes from."""
  given = np.array(intrinsics)
  pinhole = undistortion.pinhole_of(lens, given, height, width)
  at = undistortion.source_pixels(lens, given, pinhole, height, width)
  return pinhole, at


def _warn_skipped(root: pathlib.Path, skipped: list[str]) -> None:
  if skipped:
    warnings.warn(
      f'{root}: {len(skipped)} files left out: {", ".join(skipped)}',
      stacklevel=3,
    )


def _check_sizes(frames: list[_Frame], entries: list[transforms.Entry]) -> None:
  shape = frames[0].rgb.shape
  for frame, entry in zip(frames, entries, strict=True):
    if frame.rgb.shape != shape:
      raise ValueError(
        f'{entry.where}: the image is {frame.rgb.shape[1]}x'
        f'{frame.rgb.shape[0]}, the first one {shape[1]}x{shape[0]}; expected '
        'one size for all frames'
      )


def _stack(
  frames: list[_Frame], entries: list[transforms.Entry], time_s: np.ndarray
) -> Clip:
  height, width = frames[0].rgb.shape[:2]
  intrinsics = np.stack([frame.intrinsics for frame in frames])
  intrinsics = intrinsics / [width, height, width, height]
  return Clip(
    rgb=np.stack([frame.rgb for frame in frames]),
    depth_m=np.stack([frame.depth_m for frame in frames]),
    intrinsics=intrinsics.astype(np.float32),
    world_from_camera=np.stack([entry.pose for entry in entries]),
    time_s=time_s.astype(np.float32),
  )
