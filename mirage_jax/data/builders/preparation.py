"""Prepares a dataset of worlds on disk."""

import contextlib
import io
import pathlib
import shutil

import tensorflow_datasets as tfds

from mirage_jax.data.builders.worlds import ClipsConfig, Doom, Rooms, Streets


def prepare(data_dir, config: ClipsConfig) -> pathlib.Path:
  """Writes the dataset of `config` under `data_dir`, if it is not there yet.

  The dataset appears at once, when it is complete. Killed before, the next
  call keeps the shards that were rendered.

  Args:
    data_dir: folder of datasets.
    config: its worlds, clips and seed.

  Returns:
    The dataset's own folder, for `TfdsSource` and `open_source`.

  Raises:
    OSError: the folder cannot be written, or the disk is full.
  """
  builders = {'rooms': Rooms, 'streets': Streets, 'doom': Doom}
  builder = builders[config.world.kind](
    data_dir=str(data_dir), config=config, file_format='array_record'
  )
  folder = pathlib.Path(builder.data_dir)
  if not builder.is_prepared():
    _remove_incomplete(folder)
    tfds.disable_progress_bar()
    with contextlib.redirect_stdout(io.StringIO()):  # it speaks of downloads
      builder.download_and_prepare(download_dir=builder.unfinished_path)
  shutil.rmtree(builder.unfinished_path, ignore_errors=True)
  return folder


def _remove_incomplete(folder: pathlib.Path) -> None:
  """Removes what a killed preparation left beside the dataset."""
  for path in folder.parent.glob(f'incomplete.*_{folder.name}*'):
    shutil.rmtree(path, ignore_errors=True)
