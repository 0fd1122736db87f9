"""Figures and pictures of a run: JSON lines and TensorBoard."""

import json
import math
import os
import pathlib
from collections.abc import Mapping, Sequence

import numpy as np
from PIL import Image

from mirage_jax.arrays import UInt8
from mirage_jax.runs import workdirs
from mirage_jax.runs.tensorboard import Board


class Metrics:
  """Figures by step in `metrics.jsonl`, pictures in `images/`, both in
  TensorBoard's format under `tensorboard/`.

  A run that goes on from step n drops the lines after n that were written
  before it was killed, so the file reads as if that had never happened.

  Args:
    workdir: the run's folder.
    start: the step to go on from.
  """

  def __init__(self, workdir: str | os.PathLike, start: int = 0):
    self.folder = pathlib.Path(workdir)
    self._path = self.folder / 'metrics.jsonl'
    kept = [r for r in read_metrics(workdir) if r['step'] <= start]
    text = ''.join(json.dumps(row) + '\n' for row in kept)
    workdirs.write_text(self._path, text)
    self._file = open(self._path, 'a', encoding='utf-8')  # noqa: SIM115
    self._board = Board(self.folder / 'tensorboard', start)

  def __enter__(self) -> 'Metrics':
    return self

  def __exit__(self, *_) -> None:
    self.close()

  def scalars(self, step: int, figures: Mapping[str, float]) -> None:
    """Appends one line; what is not finite becomes null."""
    row = {'step': step} | {k: _finite(v) for k, v in figures.items()}
    self._file.write(json.dumps(row) + '\n')
    self._file.flush()
    self._board.scalars(step, figures)

  def image(
    self, step: int, name: str, picture: UInt8[np.ndarray, 'h w 3']
  ) -> pathlib.Path:
    """Writes one picture and returns its path."""
    path = self.folder / 'images' / f'{name}_{step:07d}.png'
    path.parent.mkdir(exist_ok=True)
    temporary = path.with_suffix('.tmp')
    Image.fromarray(picture).save(temporary, format='png')
    os.replace(temporary, path)
    self._board.image(step, name, picture)
    return path

  def close(self) -> None:
    """Writes what is buffered."""
    self._board.close()
    self._file.close()


class Nowhere(Metrics):
  """Drops figures: for processes beside the first, which draw nothing."""

  def __init__(self):
    pass

  def scalars(self, step: int, figures: Mapping[str, float]) -> None:
    """Drops them."""

  def close(self) -> None:
    """There is nothing to write."""


def read_metrics(workdir: str | os.PathLike) -> list[dict]:
  """The lines of `metrics.jsonl`; a last line cut by a kill is left out."""
  path = pathlib.Path(workdir) / 'metrics.jsonl'
  rows = []
  for line in path.read_text().splitlines() if path.exists() else []:
    try:
      rows.append(json.loads(line))
    except ValueError:
      break
  return rows


def contact_sheet(
  rows: Sequence[UInt8[np.ndarray, '_ h w 3']], gap: int = 2
) -> UInt8[np.ndarray, 'hh ww 3']:
  """Rows of frames on one white picture, `gap` pixels apart."""
  columns = max(len(row) for row in rows)
  height, width = rows[0].shape[1:3]
  step_y, step_x = height + gap, width + gap
  size = (len(rows) * step_y + gap, columns * step_x + gap, 3)
  sheet = np.full(size, 255, np.uint8)
  for i, row in enumerate(rows):
    for j, frame in enumerate(row):
      y, x = i * step_y + gap, j * step_x + gap
      sheet[y : y + height, x : x + width] = frame
  return sheet


def _finite(value: float) -> float | None:
  value = float(value)
  return value if math.isfinite(value) else None
