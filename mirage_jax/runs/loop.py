"""The training loop: steps, reports, checkpoints, and the ways to stop."""

import dataclasses
import math
from collections.abc import Callable, Iterator
from typing import Any

import jax
import numpy as np

from mirage_jax.runs.checkpoints import Checkpoints
from mirage_jax.runs.metrics import Metrics
from mirage_jax.runs.stopping import StopRequest
from mirage_jax.runs.throughput import Clock, progress, say
from mirage_jax.training.objective import LOSS_ON, SHARE_OF
from mirage_jax.training.state import TrainState

Taken = tuple[int, Any, dict[str, jax.Array]]  # step, keys, metrics


@dataclasses.dataclass(frozen=True)
class Loop:
  """Trains until `steps`.

  Attributes:
    steps: the last step.
    log_every: steps between two reports.
    image_every: steps between two calls of `sample`; 0 = none.
    checkpoint_every: steps between two checkpoints; 0 = only the last.
    say: told each progress line.
  """

  steps: int
  log_every: int = 20
  image_every: int = 0
  checkpoint_every: int = 0
  say: Callable[[str], None] = say

  def run(
    self,
    step: Callable[[TrainState, Any], tuple[TrainState, dict[str, jax.Array]]],
    state: TrainState,
    batches: Iterator[Any],
    checkpoints: Checkpoints,
    metrics: Metrics,
    stop: StopRequest,
    place: Callable[[Any], Any] = lambda batch: batch,
    sample: Callable[[TrainState, int], None] = lambda state, number: None,
  ) -> tuple[TrainState, dict[str, float]]:
    """Trains from `state` on and returns the last state and its figures.

    Each step is checked to be finite while the next one runs, and before
    anything is saved.

    Raises:
      FloatingPointError: loss or gradient is not finite.
      OSError: a checkpoint could not be written.
    """
    figures: dict[str, float] = {}
    taken: list[Taken] = []  # steps since the last report
    clock = Clock()
    for number in range(int(state.step) + 1, self.steps + 1):
      if stop.asked(number - 1):
        break
      batch = next(batches)
      state, parts = step(state, place(batch))
      check_finite(taken[-1:])
      taken.append((number, batch.key, parts))
      clock.tick(parts)
      if due(number, self.log_every, self.steps):
        check_finite(taken[-1:])
        figures = mean_figures(taken) | {'steps_per_s': clock.lap()}
        self.say(progress(number, self.steps, figures))
        metrics.scalars(number, figures)
        taken = []
      if self.image_every and due(number, self.image_every, self.steps):
        with clock.stopped(parts):
          sample(state, number)
      if self.checkpoint_every and number % self.checkpoint_every == 0:
        check_finite(taken[-1:])
        checkpoints.save(state, batches)
    check_finite(taken[-1:])
    checkpoints.save(state, batches)
    checkpoints.wait()
    return state, figures


def due(number: int, every: int, last: int) -> bool:
  """Tests whether work of every so many steps is due after this one."""
  return number % every == 0 or number == last


def mean_figures(taken: list[Taken]) -> dict[str, float]:
  """Each figure's mean over the steps, the loss first.

  A source's loss is that of its examples: none of them make it NaN.
  """
  names = ['loss', *(n for n in taken[0][2] if n not in ('loss', 'finite'))]
  means = {n: float(np.mean([parts[n] for *_, parts in taken])) for n in names}
  shares = {
    name.removeprefix(SHARE_OF): means.pop(name)
    for name in names
    if name.startswith(SHARE_OF)
  }
  for name, share in shares.items():
    means[f'{LOSS_ON}{name}'] /= share or math.nan
  return means


def check_finite(taken: list[Taken]) -> None:
  """Checks that loss and gradient of each step are finite.

  Raises:
    FloatingPointError: they are not; it names the step and the batch's key.
  """
  for number, keys, parts in taken:
    if not bool(parts['finite']):
      bad = [k for k, v in parts.items() if not np.isfinite(float(v))]
      raise FloatingPointError(
        f'step {number}: {", ".join(bad)} not finite on the batch with keys '
        f'{np.asarray(keys).tolist()}; nothing was saved since the last '
        'checkpoint: lower optimizer.learning_rate or look at that batch, '
        'then run the same command again'
      )
