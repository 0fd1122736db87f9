"""The settings of a training run, and the parts that it is made of."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
from jax.sharding import Mesh

from mirage_jax import sharding
from mirage_jax.models.world_model import WorldModel
from mirage_jax.training import state

PRECISIONS = ('float32', 'bfloat16')


@dataclasses.dataclass(frozen=True)
class Settings:
  """`config.train`.

  Attributes:
    steps: the last step.
    log_every: steps between two reports.
    image_every: steps between two contact sheets; 0 = none.
    checkpoint_every: steps between two checkpoints; 0 = only the last.
    keep: how many of the newest checkpoints stay.
    keep_every: checkpoints of steps divisible by it stay for ever; 0 = none.
    accumulate: parts that a batch is taken in, one after the other.
    ema: decay of the moving average of the parameters; 0 = none is kept.
    precision: what the parameters are computed with; masters are float32.
    patience_s: longest time between two steps of a run of several processes,
      the first compile with it; then all end. 0 = no limit.
    base: a checkpoint whose parameters the run starts from, '' for none.
  """

  steps: int
  log_every: int = 20
  image_every: int = 0
  checkpoint_every: int = 0
  keep: int = 2
  keep_every: int = 0
  accumulate: int = 1
  ema: float = 0.999
  precision: str = 'float32'
  patience_s: float = 1800.0
  base: str = ''

  def __post_init__(self):
    for name in ('steps', 'log_every', 'keep', 'accumulate'):
      _expect(name, getattr(self, name), getattr(self, name) >= 1, '1 or more')
    for name in (
      'image_every',
      'checkpoint_every',
      'keep_every',
      'patience_s',
    ):
      _expect(name, getattr(self, name), getattr(self, name) >= 0, '0 or more')
    _expect('ema', self.ema, 0 <= self.ema < 1, '0 <= ema < 1')
    known = self.precision in PRECISIONS
    _expect('precision', self.precision, known, ' or '.join(PRECISIONS))


def _expect(name: str, value: Any, good: bool, expected: str) -> None:
  if not good:
    raise ValueError(
      f'config.train.{name} is {value!r}, expected {expected}; change it'
    )


@dataclasses.dataclass(frozen=True)
class Run:
  """Parts of an experiment.

  Attributes:
    settings: of the run.
    model: the world model.
    mesh: of all devices.
    init: `key -> state` before the first step, placed.
    shapes: of the state, with shardings.
    step: the jitted training step.
    place: puts a batch on the devices.
    batches: the iterator of episodes.
    frozen: what the step takes beside a state and a batch, on the host: a
      teacher's parameters, if there is a teacher.
  """

  settings: Settings
  model: WorldModel
  mesh: Mesh
  init: Callable[[jax.Array], state.TrainState]
  shapes: state.TrainState
  step: Callable[..., Any]
  place: Callable[[Any], Any]
  batches: Any
  frozen: tuple[Any, ...] = ()

  def place_frozen(self) -> tuple[Any, ...]:
    """The frozen parameters on the devices, laid out as trained ones are."""
    shardings = sharding.parameter_shardings(self.mesh, self.frozen)
    return jax.device_put(self.frozen, shardings)
