"""Trains an experiment.

  python -m launch.train --config=experiments/rooms_tiny.py --workdir=DIR

Run again with the same command, it goes on from the newest checkpoint and ends
in the same bits as if it had never been stopped. SIGTERM saves and exits 0.
"""

import dataclasses
import functools
import pathlib
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import ml_collections
from absl import flags, logging
from ml_collections import config_flags

from launch import build, sections
from launch.errors import run_program
from mirage_jax import sharding, trees
from mirage_jax.models.mirage import Mirage, init_params
from mirage_jax.training import (
  metrics,
  optimizer,
  released,
  state,
  stopping,
  workdirs,
)
from mirage_jax.training.checkpoints import Checkpoints
from mirage_jax.training.loop import Loop
from mirage_jax.training.opening import open_checkpoint
from mirage_jax.training.step import make_train_step

_CONFIG = config_flags.DEFINE_config_file(
  'config', None, 'The experiment, e.g. experiments/rooms_tiny.py.'
)
_WORKDIR = flags.DEFINE_string('workdir', None, 'Folder of the run.')
_SEED = flags.DEFINE_integer('seed', None, 'Overrides config.seed.')

SHEET_EPISODES = 4
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
    ema: decay of the moving average of the parameters; 0 = none is kept.
    precision: what the parameters are computed with; masters are float32.
    base: a checkpoint whose parameters the run starts from, '' for none.
  """

  steps: int
  log_every: int = 20
  image_every: int = 0
  checkpoint_every: int = 0
  keep: int = 2
  keep_every: int = 0
  ema: float = 0.999
  precision: str = 'float32'
  base: str = ''

  def __post_init__(self):
    for name in ('steps', 'log_every', 'keep'):
      _expect(name, getattr(self, name), getattr(self, name) >= 1, '1 or more')
    for name in ('image_every', 'checkpoint_every', 'keep_every'):
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
  """What an experiment is made of.

  Attributes:
    model: the world model.
    init: `key -> state` before the first step, placed.
    shapes: of the state, with shardings.
    step: the jitted training step.
    place: puts a batch on the devices.
    batches: the iterator of episodes.
  """

  model: Mirage
  init: Callable[[jax.Array], state.TrainState]
  shapes: state.TrainState
  step: Callable[..., Any]
  place: Callable[[Any], Any]
  batches: Any


def main(_) -> dict[str, Any]:
  """Trains what the flags say and returns the run's figures."""
  logging.set_verbosity(logging.FATAL)  # Orbax tells of its every step
  if _CONFIG.value is None or _WORKDIR.value is None:
    missing = 'config' if _CONFIG.value is None else 'workdir'
    raise ValueError(f'--{missing} is missing; see --help')
  config, workdir = _CONFIG.value, pathlib.Path(_WORKDIR.value)
  if _SEED.value is not None:
    config.seed = _SEED.value
  # A restart finds its programs compiled.
  jax.config.update('jax_compilation_cache_dir', str(workdir / '.compiled'))
  with stopping.stop_on_signals() as stop:
    return train(config, workdir, stop)


def train(
  config: ml_collections.ConfigDict,
  workdir: pathlib.Path,
  stop: stopping.StopRequest,
) -> dict[str, Any]:
  """Trains `config` in `workdir`, from its newest checkpoint if there is one.

  Raises:
    ValueError: a bad config; a workdir that is in use or of another
      experiment; checkpoints that do not fit.
    FloatingPointError: a loss or gradient that is not finite.
    OSError: what could not be written.
  """
  settings = sections.call(Settings, 'train', config.train)
  run = make_run(config, settings)
  with workdirs.lock(workdir):
    workdirs.own(workdir, config.to_dict())
    workdirs.note_commit(workdir, released.current_commit())
    with Checkpoints(
      workdir, keep=settings.keep, keep_every=settings.keep_every
    ) as checkpoints:
      current = checkpoints.restore(run.shapes, run.batches)
      if current is None:
        current = start(run, config.seed, settings.base)
      announce(current, settings, workdir)
      with metrics.Metrics(workdir, int(current.step)) as board:
        loop = Loop(
          settings.steps,
          settings.log_every,
          settings.image_every,
          settings.checkpoint_every,
        )
        current, figures = loop.run(
          run.step,
          current,
          run.batches,
          checkpoints,
          board,
          stop,
          run.place,
          make_sample(config, run.model, board),
        )
  return summary(current, figures, workdir, stop)


def start(run: Run, seed: int, base: str) -> state.TrainState:
  """The state before the first step, from the parameters of `base` if any."""
  current = run.init(jax.random.key(seed))
  if not base:
    return current
  return state.branch(current, open_checkpoint(base).params, base)


def make_run(config: ml_collections.ConfigDict, settings: Settings) -> Run:
  """Puts an experiment together; nothing is written or computed yet."""
  update = sections.call(
    optimizer.make_optimizer, 'optimizer', config.optimizer
  )
  model = build.make_model(config)
  mesh = sharding.make_mesh()
  init = make_init(config, model, update, settings.ema > 0)
  shapes = jax.eval_shape(init, jax.random.key(config.seed))
  shardings = sharding.parameter_shardings(mesh, shapes)
  step = make_train_step(
    build.make_objective(config, model),
    update,
    seed=config.seed,
    ema=settings.ema,
    compute_dtype=jnp.dtype(settings.precision),
    state_sharding=shardings,
  )
  batches = build.make_pipeline(
    config,
    process_index=jax.process_index(),
    process_count=jax.process_count(),
  )
  return Run(
    model=model,
    init=jax.jit(init, out_shardings=shardings),
    shapes=trees.shapes(shapes, shardings),
    step=step,
    place=functools.partial(sharding.place_batch, mesh),
    batches=iter(batches),
  )


def make_init(
  config: ml_collections.ConfigDict,
  model: Mirage,
  update: Any,
  ema: bool,
) -> Callable[[jax.Array], state.TrainState]:
  """`key -> state` before the first step."""

  def init(key: jax.Array) -> state.TrainState:
    height, width = config.source.height, config.source.width
    return state.create_state(
      init_params(model, key, height, width), update, ema
    )

  return init


def make_sample(
  config: ml_collections.ConfigDict, model: Mirage, board: metrics.Metrics
) -> Callable[[state.TrainState, int], None]:
  """`(state, step)`: writes a sheet of always the same held-out episodes."""
  sheet = build.make_sample_sheet(config, model)

  @functools.cache
  def episode():
    held_out = build.make_pipeline(config, 'test', batch_size=SHEET_EPISODES)
    return next(iter(held_out))

  def sample(current: state.TrainState, number: int) -> None:
    if jax.process_index() == 0:
      picture = sheet(jax.device_get(current.best), episode())
      print(f'images {board.image(number, "sheet", picture)}', flush=True)

  return sample


def announce(
  current: state.TrainState, settings: Settings, workdir: pathlib.Path
) -> None:
  """Says what is going to be trained, and from where."""
  count = trees.count_parameters(current.params)
  print(
    f'{count:,} parameters, steps {int(current.step)} to {settings.steps}, '
    f'in {workdir}; the first step compiles',
    flush=True,
  )


def summary(
  current: state.TrainState,
  figures: dict[str, float],
  workdir: pathlib.Path,
  stop: stopping.StopRequest,
) -> dict[str, Any]:
  """The main figures of a run, from its log where nothing was left to do."""
  if not figures:
    rows = metrics.read_metrics(workdir)
    figures = rows[-1] if rows else {}
  return figures | {
    'step': int(current.step),
    'stopped_by': stop.signal,
    'parameters': trees.count_parameters(current.params),
    'fingerprint': trees.fingerprint(current.params),
    'workdir': str(workdir),
  }


if __name__ == '__main__':
  run_program(main)
