"""Laws of TensorBoard's files: they read back, and never stop a run."""

import errno
import struct

import numpy as np
from tensorboardX import record_writer
from tensorboardX.proto.event_pb2 import Event, SessionLog

from mirage_jax.runs import tensorboard
from mirage_jax.runs.metrics import Metrics, read_metrics
from mirage_jax.runs.tensorboard import Board


def read(folder):
  """Events of all files, in the order of their names."""
  events = []
  for path in sorted(folder.iterdir()):
    data = path.read_bytes()
    while data:
      (size,) = struct.unpack('<Q', data[:8])
      events.append(Event.FromString(data[12 : 12 + size]))
      data = data[16 + size :]
  return events


def curve(folder):
  return [
    (event.step, value.tag, value.simple_value)
    for event in read(folder)
    for value in event.summary.value
  ]


def test_points_and_pictures_come_back(tmp_path):
  writer = Board(tmp_path, start=2)
  writer.scalars(3, {'loss': 0.5, 'fit': 0.25})
  first, log, *points = read(tmp_path)  # at once, for who watches the run
  assert first.file_version == tensorboard.VERSION
  assert (log.step, log.session_log.status) == (3, SessionLog.START)
  assert [p.step for p in points] == [3, 3]
  writer.image(4, 'sheet', np.zeros((8, 6, 3), np.uint8))
  writer.close()
  assert curve(tmp_path)[:2] == [(3, 'loss', 0.5), (3, 'fit', 0.25)]
  picture = read(tmp_path)[-1].summary.value[0].image
  assert (picture.height, picture.width) == (8, 6)


def test_records_are_those_of_tensorboard(tmp_path):
  event = Event(step=7)
  found = tensorboard.record(event)
  writer = record_writer.RecordWriter(str(tmp_path / 'events'))
  writer.write(event.SerializeToString())
  writer.close()
  assert (tmp_path / 'events').read_bytes() == found


class Full:
  """A file on a full disk."""

  def __init__(self, file):
    self._file = file

  def write(self, data):
    raise OSError(errno.ENOSPC, 'No space left on device')

  def close(self):
    self._file.close()


def test_a_full_disk_leaves_a_gap_and_one_line(tmp_path):
  said = []
  writer = Board(tmp_path, warn=said.append)
  writer.scalars(1, {'loss': 1.0})
  writer._file = Full(writer._file)
  writer.scalars(2, {'loss': 2.0})
  writer.scalars(3, {'loss': 3.0})
  writer._file = Full(writer._file)
  writer.scalars(4, {'loss': 4.0})
  writer.close()
  assert [point[0] for point in curve(tmp_path)] == [1, 3]
  assert len(said) == 1 and 'No space left on device' in said[0]


def test_without_tensorboard_lines_go_on(tmp_path):
  (tmp_path / 'tensorboard').write_text('in the way')
  picture = np.zeros((8, 6, 3), np.uint8)
  with Metrics(tmp_path) as figures:
    for step in range(1, 30):  # more than any queue holds
      figures.scalars(step, {'loss': float(step)})
    figures.image(30, 'sheet', picture)
  assert [row['loss'] for row in read_metrics(tmp_path)] == [*range(1, 30)]
