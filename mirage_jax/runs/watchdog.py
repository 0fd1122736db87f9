"""Ends a run of several processes when one of them no longer answers.

A process that waits for others in a collective waits for ever. JAX ends it if
another process dies; if another hangs, nobody does, hence this.
"""

import contextlib
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator


@contextlib.contextmanager
def watch(
  patience_s: float, end: Callable[[str], None] | None = None
) -> Iterator[Callable[[], None]]:
  """Gives a function to be called at least every `patience_s` seconds.

  Args:
    patience_s: how long to wait for the next call; 0 = for ever.
    end: told why when it was not called in time; by default it prints that
      and kills this process, whatever its other threads are waiting for.
  """
  last, stopped = [time.monotonic()], threading.Event()

  def beat() -> None:
    last[0] = time.monotonic()

  def guard() -> None:
    while not stopped.wait(min(patience_s / 4, 10)):
      if time.monotonic() - last[0] > patience_s:
        (end or _die)(
          f'no step for {patience_s:.0f} s: a process of this run hangs or is '
          'gone; all end now. Run the same command again, it goes on from the '
          'newest checkpoint (--config.train.patience_s waits longer)'
        )
        return

  if patience_s:
    threading.Thread(target=guard, daemon=True).start()
  try:
    yield beat
  finally:
    stopped.set()


def _die(reason: str) -> None:
  print(f'error: {reason}', file=sys.stderr, flush=True)
  os._exit(1)
