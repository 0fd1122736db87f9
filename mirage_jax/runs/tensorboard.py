"""TensorBoard event files of a run, written without TensorFlow.

The writers of tensorboardX hand events to a thread, which ends at its first
failure; ten events later the training would wait for it for ever.
"""

import contextlib
import os
import pathlib
import socket
import struct
import time
from collections.abc import Callable, Mapping
from typing import BinaryIO

import numpy as np
from tensorboardX import summary
from tensorboardX.proto.event_pb2 import Event, SessionLog
from tensorboardX.record_writer import masked_crc32c

from mirage_jax.arrays import UInt8

VERSION = 'brain.Event:2'  # of the format; each file's first event tells it


class Board:
  """Events in `folder`; for comfort only, so no failure raises or waits.

  What cannot be written is dropped, and told of once. Each later report tries a
  new file, so that a disk that was full for a while leaves no more than a gap.

  Args:
    folder: where TensorBoard looks.
    start: the step to go on from; what is there after it is shown no longer.
    warn: told, in one line, that something could not be written.
  """

  def __init__(
    self,
    folder: str | os.PathLike,
    start: int = 0,
    warn: Callable[[str], None] = print,
  ):
    self._folder, self._warn = pathlib.Path(folder), warn
    self._file: BinaryIO | None = None
    self._files = 0
    log = SessionLog(status=SessionLog.START)
    self._unwritten = [Event(session_log=log, step=start + 1)]
    self._write()

  def scalars(self, step: int, figures: Mapping[str, float]) -> None:
    """Adds a point to each curve."""
    parts = [summary.scalar(name, value) for name, value in figures.items()]
    self._write(*(Event(summary=part, step=step) for part in parts))

  def image(
    self, step: int, name: str, picture: UInt8[np.ndarray, 'h w 3']
  ) -> None:
    """Adds a picture."""
    part = summary.image(name, picture, dataformats='HWC')
    self._write(Event(summary=part, step=step))

  def close(self) -> None:
    """Lets the file go."""
    if self._file is not None:
      with contextlib.suppress(OSError):
        self._file.close()
    self._file = None

  def _write(self, *events: Event) -> None:
    try:
      self._file = self._file or self._open()
      for event in [*self._unwritten, *events]:
        self._file.write(record(event))
      self._file.flush()
      self._unwritten = []
    except OSError as error:
      self.close()
      self._tell(error)

  def _open(self) -> BinaryIO:
    self._folder.mkdir(parents=True, exist_ok=True)
    place = f'{socket.gethostname()}.{os.getpid()}.{self._files}'
    path = self._folder / f'events.out.tfevents.{time.time():.0f}.{place}'
    self._files += 1
    file = open(path, 'wb')  # noqa: SIM115
    file.write(record(Event(file_version=VERSION)))
    return file

  def _tell(self, error: OSError) -> None:
    self._warn(
      f'cannot write to {self._folder} ({error.strerror}); TensorBoard misses '
      'what is reported until it can: make room, metrics.jsonl has all figures'
    )
    self._warn = lambda line: None


def record(event: Event) -> bytes:
  """An event of now, as TensorBoard reads it: length, sums, and bytes."""
  event.wall_time = time.time()
  data = event.SerializeToString()
  size = struct.pack('<Q', len(data))
  return size + _sum(size) + data + _sum(data)


def _sum(data: bytes) -> bytes:
  return struct.pack('<I', masked_crc32c(data))
