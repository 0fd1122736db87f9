"""Recorded episodes in one `.npz` file, as a source of clips.

Arrays, all `[episode, t, ...]`: `rgb` uint8, `depth` z-depth in metres (0 =
none), `c2w` camera-to-world with OpenGL axes; `K`, 3 x 3 in pixels, for all, an
episode or a frame; optional `label` (object ids, 0 = none) and `time_s`.
"""

import pathlib
import zipfile
from typing import SupportsIndex

import numpy as np

from mirage_jax.arrays import Float
from mirage_jax.data.caches import check_index
from mirage_jax.data.readers import transforms
from mirage_jax.data.sources.traits import Traits
from mirage_jax.geometry.clips import Clip

SPLITS = ('all', 'train', 'test')
FPS = 10.0  # where the file does not say
MOST_IDS = 1 << 12


class NpzSource:
  """Episodes of a file; nothing is known of what moves in them.

  Args:
    path: the file.
    split: `'all'` episodes, or the first seven eighths to `'train'` on and the
      rest to `'test'`.

  Raises:
    FileNotFoundError: no such file.
    ValueError: an unreadable file, or one whose arrays do not fit together.
  """

  traits = Traits(has_episodes=True)

  def __init__(self, path, split: str = 'all'):
    if split not in SPLITS:
      raise ValueError(f"unknown split '{split}'; have {', '.join(SPLITS)}")
    self._arrays = read_npz(pathlib.Path(path))
    count = len(self._arrays['rgb'])
    border = count * 7 // 8
    self._episodes = {
      'all': range(count),
      'train': range(border),
      'test': range(border, count),
    }[split]

  def __len__(self) -> int:
    return len(self._episodes)

  def __getitem__(self, index: SupportsIndex) -> Clip:
    episode = self._episodes[check_index(index, len(self))]
    one = {name: x[episode] for name, x in self._arrays.items()}
    return Clip(
      rgb=one['rgb'],
      depth_m=one['depth'].astype(np.float32),
      intrinsics=one['K'],
      world_from_camera=one['c2w'],
      time_s=one['time_s'].astype(np.float32),
      object_id=one.get('label'),
    )


def read_npz(path: pathlib.Path) -> dict[str, np.ndarray]:
  """The arrays of a file, cameras as `Clip` has them."""
  if not path.is_file():
    raise FileNotFoundError(
      f'no such file {path}; expected an .npz with rgb, depth, c2w and K'
    )
  try:
    with np.load(path) as file:
      found = {name: file[name] for name in file.files}
  except (ValueError, OSError, zipfile.BadZipFile) as error:
    raise ValueError(
      f'{path} is no readable .npz ({error}); write or copy it again'
    ) from error
  for name in ('rgb', 'depth', 'c2w', 'K'):
    if name not in found:
      raise ValueError(
        f"{path} has no array '{name}'; expected rgb, depth, c2w and K"
      )
  rgb = found['rgb']
  if rgb.ndim != 5 or rgb.shape[-1] != 3 or rgb.dtype != np.uint8:
    raise ValueError(
      f'{path}: rgb is {rgb.dtype} {rgb.shape}; expected uint8 '
      '[episode, t, h, w, 3]'
    )
  episodes, frames, height, width = rgb.shape[:4]
  found.setdefault(
    'time_s', np.broadcast_to(np.arange(frames) / FPS, (episodes, frames))
  )
  shapes = {
    'depth': rgb.shape[:4],
    'label': rgb.shape[:4],
    'c2w': (*rgb.shape[:2], 4, 4),
    'time_s': rgb.shape[:2],
  }
  for name, shape in shapes.items():
    if name in found and found[name].shape != shape:
      raise ValueError(
        f'{path}: {name} is {found[name].shape}; expected {shape} for rgb of '
        f'{rgb.shape}'
      )
  depth = found['depth']
  if not np.isfinite(depth).all() or (depth < 0).any():
    raise ValueError(
      f'{path}: depth has values that are negative, infinite or NaN; write 0 '
      'where there is none'
    )
  if 'label' in found:
    found['label'] = _labels(path, found['label'])
  lens = _intrinsics(path, found['K'], (episodes, frames), height, width)
  poses = _poses(path, found['c2w'])
  return found | {'K': lens, 'c2w': poses}


def _labels(path: pathlib.Path, label: np.ndarray) -> np.ndarray:
  """Object ids as int32; large ones are counted anew in their order."""
  if label.dtype.kind not in 'iub' or (label < 0).any():
    raise ValueError(
      f'{path}: label is {label.dtype}, least {label.min()}; expected whole '
      'numbers, 0 where there is no object'
    )
  if label.max(initial=0) > MOST_IDS:
    ids, place = np.unique(label, return_inverse=True)
    label = (place + (ids[0] > 0)).reshape(label.shape)
  return label.astype(np.int32)


def _poses(
  path: pathlib.Path, c2w: Float[np.ndarray, 'e t 4 4']
) -> Float[np.ndarray, 'e t 4 4']:
  return np.array(
    [
      [
        transforms.opencv_pose(pose, f'{path}: c2w of episode {e}, frame {t}')
        for t, pose in enumerate(poses)
      ]
      for e, poses in enumerate(c2w.astype(np.float64))
    ]
  )


def _intrinsics(
  path: pathlib.Path,
  matrix: np.ndarray,
  batch: tuple[int, int],
  height: int,
  width: int,
) -> Float[np.ndarray, 'e t 4']:
  """Normalised intrinsics of every frame from 3 x 3 matrices in pixels."""
  if matrix.shape == (batch[0], 3, 3):
    matrix = matrix[:, None]
  if matrix.shape[-2:] != (3, 3) or matrix.ndim not in (2, 4):
    raise ValueError(
      f'{path}: K is {matrix.shape}; expected [3, 3], [episode, 3, 3] or '
      '[episode, t, 3, 3]'
    )
  matrix = np.broadcast_to(matrix, (*batch, 3, 3))
  rows = [(0, 0, width), (1, 1, height), (0, 2, width), (1, 2, height)]
  lens = np.stack([matrix[..., i, j] / size for i, j, size in rows], -1)
  if not np.isfinite(lens).all() or (lens[..., :2] <= 0).any():
    raise ValueError(
      f'{path}: K has focal lengths that are not above 0; expected pixels'
    )
  return lens.astype(np.float32)
