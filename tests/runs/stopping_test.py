"""Laws of stopping: asked once, all processes stop after the same step."""

import signal

import jax
import pytest
from jax.experimental import multihost_utils

from mirage_jax.runs import stopping


@pytest.fixture
def noticed(monkeypatch):
  """Stands in for the notice of JAX's service of several processes."""
  signals = []
  before = signal.signal(signal.SIGTERM, lambda n, _: signals.append(n))
  monkeypatch.setattr(jax, 'process_count', lambda: 2)
  monkeypatch.setattr(
    multihost_utils,
    'reached_preemption_sync_point',
    lambda step: bool(signals) and step >= 3,
  )
  yield signals
  signal.signal(signal.SIGTERM, before)


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_one_of_several_is_asked_and_all_stop_together(noticed, number):
  with stopping.stop_on_signals() as stop:
    assert not stop.asked(3) and stop.signal is None
    signal.raise_signal(number)
    assert noticed == [signal.SIGTERM]
    assert not stop.asked(2)
    assert stop.asked(3) and stop.signal == number.name


def test_a_second_ctrl_c_does_not_wait(noticed):
  with pytest.raises(KeyboardInterrupt), stopping.stop_on_signals():
    signal.raise_signal(signal.SIGINT)
    signal.raise_signal(signal.SIGINT)
  assert noticed == [signal.SIGTERM]


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_one_alone_stops_at_once(number):
  with stopping.stop_on_signals() as stop:
    signal.raise_signal(number)
    assert stop.asked(0) and stop.signal == number.name
