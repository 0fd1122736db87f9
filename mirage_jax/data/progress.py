"""Progress of a long piece of work, one line at a time."""

import sys
import time


class Progress:
  """Lines on stderr that say how far it is and how long it will take.

  Args:
    name: of what is being made.
    total: clips to be made.
    every_s: seconds between lines.
  """

  def __init__(self, name: str, total: int, every_s: float = 5.0):
    self._name, self._total, self._every_s = name, total, every_s
    self._done = self._fresh = 0
    self._begin = time.monotonic()
    self._last = -float('inf')

  def add(self, clips: int, fresh: bool = True) -> None:
    """Counts clips; those not `fresh` lay there and say nothing of speed."""
    self._done += clips
    self._fresh += clips if fresh else 0
    now = time.monotonic()
    if now - self._last < self._every_s and self._done < self._total:
      return
    self._last = now
    print(self._line(now - self._begin), file=sys.stderr, flush=True)

  def _line(self, elapsed_s: float) -> str:
    line = f'{self._name}: {self._done}/{self._total} clips'
    if not self._fresh:
      return line
    speed = self._fresh / max(elapsed_s, 1e-9)
    left_s = round((self._total - self._done) / speed)
    return f'{line}, {speed:.1f} clips/s, {left_s // 60}:{left_s % 60:02} left'
