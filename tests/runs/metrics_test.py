"""Laws of logs: nothing is lost, what was killed away is not read."""

import json

import numpy as np
from PIL import Image

from mirage_jax.runs import metrics
from mirage_jax.runs.metrics import Metrics, read_metrics


def test_lines_come_back(tmp_path):
  with Metrics(tmp_path) as board:
    board.scalars(1, {'loss': 0.5})
    board.scalars(2, {'loss': float('nan')})
  assert read_metrics(tmp_path) == [
    {'step': 1, 'loss': 0.5},
    {'step': 2, 'loss': None},
  ]
  assert list((tmp_path / 'tensorboard').iterdir())


def test_going_on_drops_what_came_after(tmp_path):
  with Metrics(tmp_path) as board:
    for step in range(1, 6):
      board.scalars(step, {'loss': float(step)})
  with open(tmp_path / 'metrics.jsonl', 'a') as file:
    file.write('{"step": 6, "lo')
  with Metrics(tmp_path, 3) as board:
    board.scalars(4, {'loss': 40.0})
  assert [r['loss'] for r in read_metrics(tmp_path)] == [1, 2, 3, 40]
  text = (tmp_path / 'metrics.jsonl').read_text()
  assert [json.loads(line)['step'] for line in text.splitlines()] == [
    1,
    2,
    3,
    4,
  ]


def test_nothing_written_reads_as_nothing(tmp_path):
  assert read_metrics(tmp_path) == []


def test_a_picture_comes_back(tmp_path):
  picture = np.random.default_rng(0).integers(0, 255, (8, 6, 3), np.uint8)
  with Metrics(tmp_path) as board:
    path = board.image(7, 'sheet', picture)
  assert path.name == 'sheet_0000007.png'
  np.testing.assert_array_equal(np.asarray(Image.open(path)), picture)


def test_a_sheet_holds_every_frame():
  rng = np.random.default_rng(0)
  rows = [rng.integers(0, 255, (n, 4, 5, 3), np.uint8) for n in (2, 3)]
  sheet = metrics.contact_sheet(rows, gap=1)
  assert sheet.shape == (2 * 5 + 1, 3 * 6 + 1, 3)
  for i, row in enumerate(rows):
    for j, frame in enumerate(row):
      y, x = i * 5 + 1, j * 6 + 1
      np.testing.assert_array_equal(sheet[y : y + 4, x : x + 5], frame)
  assert (sheet[1:5, 13:] == 255).all()  # the short row ends in white
