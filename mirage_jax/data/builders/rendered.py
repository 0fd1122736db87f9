"""Keeps rendered clips in shards until their dataset is written.

Rendering takes most of the time. A shard is written under another name and
then renamed: a preparation that was killed goes on with the first shard that is
missing.
"""

import os
import pathlib
import zipfile
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

SHARD = 16  # clips a file

Example = Mapping[str, np.ndarray]


def rendered(
  folder: pathlib.Path,
  split: str,
  clips: int,
  render: Callable[[int], Example],
  report: Callable[[int, bool], None],
) -> Iterator[tuple[int, dict[str, np.ndarray]]]:
  """Yields `(index, example)` of a split; renders shards that are missing.

  Args:
    folder: where shards are kept.
    split: name of the split.
    clips: examples of the split.
    render: makes example `index`.
    report: called with the clips of a shard, and True if they were rendered in
      this run.
  """
  folder.mkdir(parents=True, exist_ok=True)
  for start in range(0, clips, SHARD):
    indices = range(start, min(start + SHARD, clips))
    file = folder / f'{split}-{start:08}.npz'
    examples = _read_shard(file)
    fresh = examples is None or len(examples) != len(indices)
    if fresh:
      examples = [dict(render(index)) for index in indices]
      _write_shard(file, examples)
    report(len(indices), fresh)
    yield from zip(indices, examples, strict=True)


def _read_shard(file: pathlib.Path) -> list[dict[str, np.ndarray]] | None:
  """Reads the examples of a shard; None if it is missing or was cut off."""
  try:
    with np.load(file, allow_pickle=False) as arrays:
      columns = {name: arrays[name] for name in arrays.files}
  except (OSError, ValueError, EOFError, zipfile.BadZipFile):
    return None
  return [
    dict(zip(columns, row, strict=True))
    for row in zip(*columns.values(), strict=True)
  ]


def _write_shard(
  file: pathlib.Path, examples: list[dict[str, np.ndarray]]
) -> None:
  columns: dict[str, Any] = {
    name: np.stack([example[name] for example in examples])
    for name in examples[0]
  }
  unfinished = file.with_suffix(f'.unfinished{os.getpid()}')
  with unfinished.open('wb') as stream:
    np.savez_compressed(stream, **columns)
    stream.flush()
    os.fsync(stream.fileno())
  os.replace(unfinished, file)
