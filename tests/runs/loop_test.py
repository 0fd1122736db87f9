"""Laws of the loop: resumed = never stopped; what is not finite stops it."""

import math
import os
import signal

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mirage_jax.runs import metrics, stopping
from mirage_jax.runs.checkpoints import Checkpoints
from mirage_jax.runs.loop import Loop, mean_figures
from mirage_jax.runs.throughput import progress
from tests.training.fakes import make_batches, make_training


def run(workdir, steps, *, bad=None, stop=None, fit=None, **settings):
  state, step = make_training(**({} if fit is None else {'fit': fit}))
  batches, said = make_batches(bad), []
  settings = {'log_every': 2, 'checkpoint_every': 3} | settings
  with Checkpoints(workdir) as checkpoints:
    state = checkpoints.restore(state, batches) or state
    with metrics.Metrics(workdir, int(state.step)) as board:
      loop = Loop(steps, say=said.append, **settings)
      state, figures = loop.run(
        step,
        state,
        batches,
        checkpoints,
        board,
        stop or stopping.StopRequest(),
      )
  return state, figures, said


def bits(tree):
  return [np.asarray(x).tobytes() for x in jax.tree.leaves(tree)]


@pytest.mark.parametrize('first', [3, 5, 6])
def test_resumed_is_never_stopped_bit_for_bit(tmp_path, first):
  whole, *_ = run(tmp_path / 'whole', 10)
  run(tmp_path / 'parts', first)
  parts, *_ = run(tmp_path / 'parts', 10)
  assert bits(parts) == bits(whole)


def test_the_log_of_a_killed_run_reads_as_never_killed(tmp_path):
  run(tmp_path / 'whole', 9, log_every=3)
  run(tmp_path / 'parts', 3, log_every=3)
  with metrics.Metrics(tmp_path / 'parts', 3) as board:
    board.scalars(4, {'loss': 1.0})  # written, then killed before saving
  with open(tmp_path / 'parts' / 'metrics.jsonl', 'a') as file:
    file.write('{"step": 5, "lo')
  run(tmp_path / 'parts', 9, log_every=3)
  whole, parts = (
    [{k: v for k, v in row.items() if k != 'steps_per_s'} for row in rows]
    for rows in map(
      metrics.read_metrics, [tmp_path / 'whole', tmp_path / 'parts']
    )
  )
  assert whole == parts


def test_a_finished_run_started_again_changes_nothing(tmp_path):
  state, *_ = run(tmp_path, 4)
  again, figures, said = run(tmp_path, 4)
  assert bits(again) == bits(state)
  assert not figures and not said


def test_the_step_compiles_once(tmp_path):
  chex.clear_trace_counter()
  fit = make_training.__globals__['objective']
  run(tmp_path, 6, fit=chex.assert_max_traces(fit, n=1))


def test_nan_stops_with_step_and_key_and_saves_nothing(tmp_path):
  keys = [np.asarray(next(b).key) for b in [make_batches()] for _ in range(9)]
  bad = int(keys[6][1])  # an example of step 7
  with pytest.raises(FloatingPointError) as error:
    run(tmp_path, 20, bad=bad)
  assert 'step 7: fit, gradient_norm, loss not finite' in str(error.value)
  assert f'keys {keys[6].tolist()}' in str(error.value)
  with Checkpoints(tmp_path) as checkpoints:
    assert checkpoints.steps == [3, 6]


@pytest.mark.parametrize('every', [1, 7])
def test_no_checkpoint_ever_holds_a_nan(tmp_path, every):
  def breaks(params, batch, key):
    del key
    loss = jnp.sum(params['dense']['kernel'] ** 2) * jnp.mean(batch.x)
    return jnp.where(loss > -1e9, jnp.log(-jnp.abs(loss)), loss), {}

  with pytest.raises(FloatingPointError, match='step 1: loss'):
    run(tmp_path, 7, fit=breaks, checkpoint_every=every, log_every=7)
  with Checkpoints(tmp_path) as checkpoints:
    assert checkpoints.steps == []


def test_sigterm_saves_and_going_on_is_never_stopped(tmp_path):
  whole, *_ = run(tmp_path / 'whole', 8)
  before = signal.getsignal(signal.SIGTERM)
  with stopping.stop_on_signals() as stop:
    os.kill(os.getpid(), signal.SIGTERM)
    state, *_ = run(tmp_path / 'parts', 8, stop=stop)
    assert stop.signal == 'SIGTERM'
  assert signal.getsignal(signal.SIGTERM) == before
  assert int(state.step) == 0
  parts, *_ = run(tmp_path / 'parts', 8)
  assert bits(parts) == bits(whole)


def test_progress_tells_step_speed_time_left_and_losses(tmp_path):
  line = progress(10, 100, {'loss': 0.5, 'rgb': 0.25, 'steps_per_s': 0.025})
  assert line == ('step 10/100  0.03 steps/s  1:00:00 left  loss 0.5 rgb 0.25')
  *_, said = run(tmp_path, 5)
  assert [s.split('  ')[0] for s in said] == [
    'step 2/5',
    'step 4/5',
    'step 5/5',
  ]


def test_images_are_asked_for_on_time(tmp_path):
  state, step = make_training()
  seen = []
  with Checkpoints(tmp_path) as checkpoints, metrics.Metrics(tmp_path) as board:
    Loop(5, image_every=2, say=lambda _: None).run(
      step,
      state,
      make_batches(),
      checkpoints,
      board,
      stopping.StopRequest(),
      sample=lambda state, number: seen.append((int(state.step), number)),
    )
  assert seen == [(2, 2), (4, 4), (5, 5)]


def test_the_loss_on_a_source_is_that_of_its_examples():
  def step(loss, share):
    parts = {'loss': 0.5, 'loss@a': loss, 'share@a': share, 'finite': True}
    parts |= {'loss@b': 0.0, 'share@b': 0.0}
    return 0, None, {name: jnp.array(x) for name, x in parts.items()}

  found = mean_figures([step(0.1, 0.25), step(0.5, 0.75)])
  assert list(found) == ['loss', 'loss@a', 'loss@b']
  assert found['loss@a'] == pytest.approx(0.6 / 1.0)
  assert math.isnan(found['loss@b'])
