"""Laws of the benchmark's rows, on the smallest experiment."""

import math
import types

import pytest

from experiments import smoke
from launch import memory_rows, rows


def window():
  """`smoke` without a memory: what is compiled once serves all rows."""
  config = smoke.get_config()
  config.memory.kind = 'none'
  return config


def check(found, *names):
  assert set(names) <= set(found)
  for spread in found.values():
    assert 0 < spread.low <= spread.median <= spread.high < math.inf


@pytest.mark.slow
def test_memory_rows_and_constant_bytes(monkeypatch):
  monkeypatch.setattr(memory_rows, 'rooms_tiny', smoke)
  monkeypatch.setattr(memory_rows, 'EXPERIMENTS', {'view_grid': smoke})
  # As many frames as `smoke` has: one world to compile.
  monkeypatch.setattr(memory_rows, 'FRAMES', 12)
  monkeypatch.setattr(memory_rows, 'CHUNKS', (1, 6))
  found = memory_rows.memory(repeats=1, seed=0)
  check(
    found,
    'view_grid_write_points_per_s',
    'view_grid_read_points_per_s',
    'view_grid_write_read_gradient_points_per_s',
    'view_grid_read_chunk100_over_chunk5',
  )
  assert found['view_grid_bytes_chunk100_over_chunk5'].median == 1


@pytest.mark.slow
def test_worlds_rows(monkeypatch):
  monkeypatch.setattr(rows, 'rooms_tiny', smoke)
  monkeypatch.setattr(rows, 'CLIPS', 1)
  monkeypatch.setattr(rows, 'KINDS', ('rooms',))
  found = rows.worlds(1, 0)
  assert len(found) == 2
  check(found, 'worlds_rooms_training_frames_per_s')


@pytest.mark.slow
def test_train_and_sample_rows_compare_with_and_without(monkeypatch):
  small = types.SimpleNamespace(get_config=window)
  settings = {name: small for name in ('memory', 'window')}
  monkeypatch.setattr(rows, 'SETTINGS', settings)
  check(
    rows.train(1, 0), 'train_memory_steps_per_s', 'train_memory_over_window'
  )
  check(rows.sample(1, 0), 'sample_memory_s_per_frame')


@pytest.mark.slow
def test_bench_rows_compare_with_none(monkeypatch):
  small = types.SimpleNamespace(
    MEMORIES=('none', 'frame'),
    get_config=lambda memory: window(),
  )
  monkeypatch.setattr(rows, 'bench_experiment', small)
  found = rows.bench(1, 0)
  assert len(found) == 4
  check(found, 'bench_train_frame_over_none')
  assert found['bench_sample_none_over_none'].median == 1
