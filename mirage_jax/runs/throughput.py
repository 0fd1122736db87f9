"""Throughput of a run, and its progress lines."""

import contextlib
import time
from collections.abc import Iterator

import jax


class Clock:
  """Steps a second, without compiling and without drawing pictures."""

  def __init__(self):
    self._began = time.monotonic()
    self._steps = 0
    self._started = False
    self._compiled_in = 0.0

  def tick(self, parts: dict[str, jax.Array]) -> None:
    """Counts a step; the first of all, which compiles, is waited for."""
    self._steps += 1
    if not self._started:
      jax.block_until_ready(parts)
      self._compiled_in = time.monotonic() - self._began
      self._began, self._steps, self._started = time.monotonic(), 0, True

  def lap(self) -> float:
    """Steps a second since the last lap; the first step's where no other is."""
    now = time.monotonic()
    rate = self._steps / (now - self._began)
    if not self._steps:
      rate = 1 / self._compiled_in
    self._began, self._steps = now, 0
    return rate

  @contextlib.contextmanager
  def stopped(self, parts: dict[str, jax.Array]) -> Iterator[None]:
    """Does not count what happens inside."""
    jax.block_until_ready(parts)
    before = time.monotonic()
    yield
    self._began += time.monotonic() - before


def progress(number: int, last: int, figures: dict[str, float]) -> str:
  """One line: step, speed, time left, losses."""
  seconds = round((last - number) / figures['steps_per_s'])
  left = f'{seconds // 3600}:{seconds // 60 % 60:02d}:{seconds % 60:02d}'
  losses = ' '.join(
    f'{k} {v:.4g}' for k, v in figures.items() if k != 'steps_per_s'
  )
  return (
    f'step {number}/{last}  {figures["steps_per_s"]:.2f} steps/s  '
    f'{left} left  {losses}'
  )


def say(line: str) -> None:
  """Prints a line now, also into a pipe; one process speaks for all."""
  if jax.process_index() == 0:
    print(line, flush=True)
