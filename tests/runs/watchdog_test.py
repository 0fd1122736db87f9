"""Laws of the watchdog: it barks when nothing happens, and only then."""

import time

import pytest

from mirage_jax.runs.watchdog import watch


@pytest.mark.parametrize('patience_s, barks', [(0.2, 1), (0.0, 0)])
def test_silence_ends_the_run(patience_s, barks):
  heard = []
  with watch(patience_s, heard.append):
    time.sleep(0.6)
  assert len(heard) == barks
  assert all('no step for 0 s' in reason for reason in heard)


def test_steps_keep_it_alive_and_leaving_stops_it():
  heard = []
  with watch(0.4, heard.append) as beat:
    for _ in range(8):
      time.sleep(0.1)
      beat()
  time.sleep(0.6)
  assert not heard
