"""Progress of long work: one line now and then, with the time that is left."""

import sys
import time


class Progress:
  """Prints `label: done/total, elapsed, left` at most every few seconds.

  Args:
    label: what is being done.
    total: how many parts it has.
    every_s: seconds between two lines; the last part always prints.
  """

  def __init__(self, label: str, total: int, every_s: float = 5.0):
    self.label, self.total, self.every_s = label, total, every_s
    self.done = 0
    self._start = self._printed = time.monotonic()

  def advance(self, parts: int = 1) -> None:
    """Counts `parts` more as done."""
    self.done += parts
    now = time.monotonic()
    if now - self._printed < self.every_s and self.done < self.total:
      return
    self._printed = now
    spent = now - self._start
    left = spent / self.done * (self.total - self.done)
    print(
      f'{self.label}: {self.done}/{self.total}, {spent:.0f} s'
      + (f', {left:.0f} s left' if self.done < self.total else ''),
      file=sys.stderr,
      flush=True,
    )
