"""Stopping in good order when the system asks for it."""

import contextlib
import signal
from collections.abc import Iterator

import jax
from jax.experimental import multihost_utils


class StopRequest:
  """Request to stop a run; see `stop_on_signals`."""

  def __init__(self):
    self.signal: str | None = None

  def asked(self, step: int) -> bool:
    """Tests whether to stop after `step`; all processes get the same answer."""
    if jax.process_count() == 1:
      return self.signal is not None
    if not multihost_utils.reached_preemption_sync_point(step):
      return False
    # JAX catches SIGTERM itself, and in one process for all.
    self.signal = self.signal or signal.SIGTERM.name
    return True


@contextlib.contextmanager
def stop_on_signals() -> Iterator[StopRequest]:
  """SIGTERM and the first Ctrl-C set the request instead of killing.

  With several processes JAX's own preemption service decides, so that all of
  them stop after the same step. It listens to SIGTERM, in each of them.
  """
  request, several = StopRequest(), jax.process_count() > 1

  def ask(number: int, _) -> None:
    request.signal = signal.Signals(number).name
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if several:
      signal.raise_signal(signal.SIGTERM)

  signals = [signal.SIGINT]
  if not several:
    signals.append(signal.SIGTERM)
  before = {number: signal.signal(number, ask) for number in signals}
  try:
    yield request
  finally:
    for number, handler in before.items():
      signal.signal(number, handler)
