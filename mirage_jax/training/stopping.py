"""Stopping in good order when the system asks for it."""

import contextlib
import signal
from collections.abc import Iterator

import jax
from jax.experimental import multihost_utils


class StopRequest:
  """Whether somebody asked the run to stop; see `stop_on_signals`."""

  def __init__(self):
    self.signal: str | None = None

  def asked(self, step: int) -> bool:
    """Whether to stop after `step`; all processes get the same answer."""
    if jax.process_count() > 1:
      return multihost_utils.reached_preemption_sync_point(step)
    return self.signal is not None


@contextlib.contextmanager
def stop_on_signals() -> Iterator[StopRequest]:
  """SIGTERM and the first Ctrl-C set the request instead of killing.

  With several processes JAX's own preemption service decides, so that all of
  them stop after the same step.
  """
  request = StopRequest()

  def ask(number: int, _) -> None:
    request.signal = signal.Signals(number).name
    signal.signal(signal.SIGINT, signal.default_int_handler)

  signals = [signal.SIGINT]
  if jax.process_count() == 1:
    signals.append(signal.SIGTERM)
  before = {number: signal.signal(number, ask) for number in signals}
  try:
    yield request
  finally:
    for number, handler in before.items():
      signal.signal(number, handler)
