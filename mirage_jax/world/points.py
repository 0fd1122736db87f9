"""Clouds of points from readouts, and PLY files of them."""

import os
from collections.abc import Callable, Sequence

import numpy as np

from mirage_jax.arrays import Array, Float
from mirage_jax.geometry import cameras as pinhole
from mirage_jax.geometry.cameras import Cameras
from mirage_jax.io import replaced
from mirage_jax.memory.contract import Readout
from mirage_jax.models.codec import decode_colour

READ_AT_ONCE = 4  # cameras; one compiled program serves all


def make_points(
  read: Callable[[Cameras], Readout],
  visited: Sequence[tuple[np.ndarray, np.ndarray]],
  confidence: float,
) -> tuple[np.ndarray, np.ndarray]:
  """Unprojects confident readouts of cameras.

  Args:
    read: the readout of cameras `[t]`.
    visited: intrinsics and pose of each camera.
    confidence: least probability that a point is right.

  Returns:
    Positions `[p, 3]` float32, metres, and colours `[p, 3]` uint8.
  """
  positions = [np.zeros((0, 3), np.float32)]
  colours = [np.zeros((0, 3), np.uint8)]
  for start in range(0, len(visited), READ_AT_ONCE):
    some = visited[start : start + READ_AT_ONCE]
    some = [*some, *[some[-1]] * (READ_AT_ONCE - len(some))]
    cameras = Cameras(*(np.stack(x) for x in zip(*some, strict=True)))
    seen = read(cameras)
    sure = (seen.confidence >= confidence) & (seen.depth_m > 0)
    points = np.asarray(pinhole.unproject(cameras, seen.depth_m))
    positions.append(points[sure].astype(np.float32))
    colours.append(np.asarray(decode_colour(seen.rgb))[sure])
  return _thin(np.concatenate(positions), np.concatenate(colours))


def write_ply(
  path: str | os.PathLike,
  positions: Float[np.ndarray, 'p 3'],
  colours: Array,
) -> None:
  """Writes points `[p, 3]` with uint8 colours as a binary PLY file."""
  kind = [(axis, '<f4') for axis in 'xyz']
  kind += [(colour, 'u1') for colour in ('red', 'green', 'blue')]
  rows = np.empty(len(positions), kind)
  for (name, _), column in zip(kind, [*positions.T, *colours.T], strict=True):
    rows[name] = column
  types = {'<f4': 'float', 'u1': 'uchar'}
  header = ['ply', 'format binary_little_endian 1.0']
  header += [f'element vertex {len(rows)}']
  header += [f'property {types[code]} {name}' for name, code in kind]
  text = '\n'.join([*header, 'end_header', ''])
  with replaced(path) as temporary:
    temporary.write_bytes(text.encode('ascii') + rows.tobytes())


def _thin(
  positions: np.ndarray, colours: np.ndarray, voxel_m: float = 0.02
) -> tuple[np.ndarray, np.ndarray]:
  """Keeps one point of each voxel."""
  voxels = np.floor(positions / voxel_m).astype(np.int64)
  _, first = np.unique(voxels, axis=0, return_index=True)
  return positions[first], colours[first]
