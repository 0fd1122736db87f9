"""A posed RGB-D folder as a source of clips."""

import dataclasses
from typing import SupportsIndex

import numpy as np

from mirage_jax.data.caches import check_index
from mirage_jax.data.readers.folders import read_folder
from mirage_jax.geometry.clips import Clip, take_frames

SPLITS = ('all', 'train', 'test')


class FolderSource:
  """One posed RGB-D folder, cut into clips that overlap.

  Args:
    path: a folder with a `transforms.json`.
    frames: length of a clip; None for one clip of all frames.
    hop: frames from the start of a clip to the next; None for a half of one.
    stride: downsampling, as in `read_folder`.
    split: `'all'` frames, or the first seven eighths to `'train'` on and the
      rest to `'test'`: at least a clip, if that leaves another.
    returning: every other clip goes out and comes back by the same frames, as
      recordings seldom do by themselves.

  Raises:
    ValueError: fewer readable frames than a clip has; as `read_folder`.
  """

  def __init__(
    self,
    path,
    frames: int | None = None,
    hop: int | None = None,
    stride: int = 1,
    split: str = 'all',
    returning: bool = False,
  ):
    if split not in SPLITS:
      raise ValueError(f"unknown split '{split}'; have {', '.join(SPLITS)}")
    clip, indices = read_folder(path, stride=stride)
    border = len(indices) * 7 // 8
    if frames is not None and 2 * frames <= len(indices):
      border = min(border, len(indices) - frames)
    part = {
      'all': slice(None),
      'train': slice(border),
      'test': slice(border, None),
    }[split]
    self.clip, self.indices = take_frames(clip, part), indices[part]
    total = len(self.indices)
    self._frames = total if frames is None else frames
    if not 1 <= self._frames <= total:
      raise ValueError(
        f"{path} has {total} readable frames in split '{split}', clips are to "
        f'have {self._frames}; expected 1 to {total}'
      )
    hop = max(1, self._frames // 2 if hop is None else hop)
    self._starts = range(0, total - self._frames + 1, hop)
    steps = np.arange(self._frames)
    back = np.minimum(steps, steps[::-1])
    self._steps = (steps, back) if returning else (steps,)

  def __len__(self) -> int:
    return len(self._starts) * len(self._steps)

  def __getitem__(self, index: SupportsIndex) -> Clip:
    place, way = divmod(check_index(index, len(self)), len(self._steps))
    start = self._starts[place]
    clip = take_frames(self.clip, start + self._steps[way])
    time_s = self.clip.time_s[start : start + self._frames]
    return dataclasses.replace(clip, time_s=time_s)
