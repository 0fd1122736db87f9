"""Files that appear whole or not at all."""

import contextlib
import os
import pathlib
import shutil
import tempfile
from collections.abc import Iterator


@contextlib.contextmanager
def replaced(path: str | os.PathLike) -> Iterator[pathlib.Path]:
  """A temporary path beside `path` that takes its place when all went well."""
  path = pathlib.Path(path)
  path.parent.mkdir(parents=True, exist_ok=True)
  temporary = path.with_name(f'.{os.getpid()}.{path.name}')
  try:
    yield temporary
    os.replace(temporary, path)
  finally:
    temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def staged(folder: str | os.PathLike) -> Iterator[pathlib.Path]:
  """A temporary folder whose files all move into `folder` when all went well.

  After an error `folder` is as it was.
  """
  folder = pathlib.Path(folder)
  folder.mkdir(parents=True, exist_ok=True)
  stage = pathlib.Path(tempfile.mkdtemp(prefix='.stage-', dir=folder))
  try:
    yield stage
    files = [path for path in sorted(stage.rglob('*')) if path.is_file()]
    for path in files:
      target = folder / path.relative_to(stage)
      target.parent.mkdir(parents=True, exist_ok=True)
      os.replace(path, target)
  finally:
    shutil.rmtree(stage, ignore_errors=True)
