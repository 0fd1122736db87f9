"""Datasets on disk, as sources of clips."""

import pathlib
from typing import Any, SupportsIndex

import tensorflow_datasets as tfds

from mirage_jax.data.builders.features import from_example
from mirage_jax.data.caches import Cache, check_index
from mirage_jax.data.readers import movi
from mirage_jax.geometry.clips import Clip


class TfdsSource:
  """A prepared dataset of clips; ArrayRecord, read without TensorFlow.

  Args:
    name: `rooms`, or `rooms/CONFIG` where there are several; or a dataset of
      Kubric's, like `movi_e/128x128`.
    data_dir: the folder of datasets.
    split: `'train'`, `'test'`, or a slice like `'train[:100]'`.
    cache_gb: memory for decoded clips.

  Raises:
    FileNotFoundError: no dataset is there.
    ValueError: several are there, the split is unknown, or a file is damaged.
  """

  def __init__(
    self, name: str, data_dir, split: str = 'train', cache_gb: float = 8.0
  ):
    folder = find_dataset(pathlib.Path(data_dir) / name)
    builder = _builder(folder)
    if split.split('[')[0] not in builder.info.splits:
      raise ValueError(
        f"unknown split '{split}' of {folder}; have "
        f'{", ".join(builder.info.splits)}'
      )
    features: Any = builder.info.features
    kubric = movi.is_movi(features)
    self._to_clip = movi.to_clip if kubric else from_example
    try:
      self._records: Any = builder.as_data_source(
        split=split, decoders=movi.decoders(features) if kubric else None
      )
    except NotImplementedError:
      raise ValueError(
        f'{folder} holds {builder.info.file_format.value} files, expected '
        'array_record: rewrite it with `tfds convert_format '
        '--out_file_format=array_record`'
      ) from None
    self._folder = folder
    self._cache = Cache(cache_gb, len(self))

  def __len__(self) -> int:
    return len(self._records)

  def __getitem__(self, index: SupportsIndex) -> Clip:
    return self._cache.get(check_index(index, len(self)), self._read)

  def _read(self, index: int) -> Clip:
    return self._to_clip(self._records[index])


def _builder(folder: pathlib.Path) -> Any:
  """A dataset's builder; ValueError if it cannot do without TensorFlow."""
  try:
    return tfds.builder_from_directory(folder)
  except ModuleNotFoundError as error:
    raise ValueError(
      f'{folder} has features that TFDS reads with TensorFlow only ({error}): '
      'pip install tensorflow opencv-python-headless'
    ) from None


def find_dataset(path: pathlib.Path) -> pathlib.Path:
  """The one complete dataset in `path` or in a folder below.

  Raises:
    FileNotFoundError: there is none.
    ValueError: there are several.
  """
  found = sorted(
    file.parent
    for file in path.glob('**/dataset_info.json')
    if not any(
      part.startswith(('.', 'incomplete'))
      for part in file.relative_to(path).parts
    )
  )
  if not found:
    raise FileNotFoundError(
      f'no complete dataset in {path}; make one with python -m launch.prepare '
      'or finish it with the same command'
    )
  if len(found) > 1:
    names = ', '.join(str(folder.relative_to(path)) for folder in found)
    raise ValueError(f'several datasets in {path}; name one of {names}')
  return found[0]
