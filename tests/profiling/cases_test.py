"""Laws of the benchmark's rows, on the smallest experiment."""

import math

import pytest

from experiments import smoke
from mirage_jax.profiling import cases, memory_cases


def make_settings(**memory):
  """`smoke`, with other settings of its memory."""
  config = smoke.get_config()
  config.memory.update(memory)
  return config.to_dict()


def check(found, *names):
  assert set(names) <= set(found)
  for spread in found.values():
    assert 0 < spread.low <= spread.median <= spread.high < math.inf


@pytest.mark.slow
def test_memory_rows_and_constant_bytes(monkeypatch):
  # As many frames as `smoke` has: one world to compile.
  monkeypatch.setattr(memory_cases, 'FRAMES', 12)
  monkeypatch.setattr(memory_cases, 'CHUNKS', (1, 6))
  found = memory_cases.memory(1, 0, {'view_grid': make_settings()})
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
  monkeypatch.setattr(cases, 'CLIPS', 1)
  monkeypatch.setattr(cases, 'KINDS', ('rooms',))
  found = cases.worlds(1, 0, make_settings())
  assert len(found) == 2
  check(found, 'worlds_rooms_training_frames_per_s')


@pytest.mark.slow
def test_train_and_sample_rows_compare_with_the_window_model():
  experiments = {name: make_settings(kind='none') for name in ('a', 'window')}
  found = cases.train(1, 0, experiments)
  check(found, 'train_a_steps_per_s', 'train_a_over_window')
  check(cases.sample(1, 0, experiments), 'sample_a_s_per_frame')


@pytest.mark.slow
def test_bench_rows_compare_with_none():
  experiments = {name: make_settings(kind='none') for name in ('none', 'frame')}
  found = cases.bench(1, 0, experiments)
  check(found, 'bench_train_frame_over_none', 'bench_sample_frame_over_none')
  assert len(found) == 2
