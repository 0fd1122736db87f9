"""Trains an experiment.

  python -m launch.train --config=experiments/rooms_tiny.py --workdir=DIR

Run again with the same command, it goes on from the newest checkpoint and ends
in the same bits as if it had never been stopped. SIGTERM saves and exits 0. On
several hosts, run the same command on each (see `launch/cluster.py`).
"""

import contextlib
import dataclasses
import functools
import pathlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import ml_collections
from absl import flags, logging
from jax.sharding import Mesh
from ml_collections import config_flags

from launch import build, cluster, sections
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
from mirage_jax.training.progress import say
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
    accumulate: parts that a batch is taken in, one after the other.
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
  accumulate: int = 1
  ema: float = 0.999
  precision: str = 'float32'
  base: str = ''

  def __post_init__(self):
    for name in ('steps', 'log_every', 'keep', 'accumulate'):
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
    mesh: of all devices.
    init: `key -> state` before the first step, placed.
    shapes: of the state, with shardings.
    step: the jitted training step.
    place: puts a batch on the devices.
    batches: the iterator of episodes.
  """

  model: Mirage
  mesh: Mesh
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
  cluster.connect()
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
  with (
    own(workdir, config),
    Checkpoints(
      workdir, keep=settings.keep, keep_every=settings.keep_every
    ) as checkpoints,
  ):
    current = checkpoints.restore(run.shapes, run.batches)
    if current is None:
      current = start(run, config.seed, settings.base)
    announce(current, settings, workdir)
    with open_board(workdir, int(current.step)) as board:
      loop = Loop(
        settings.steps,
        settings.log_every,
        settings.image_every,
        settings.checkpoint_every,
      )
      current, figures = loop.run(
        sharding.on(run.mesh, run.step),
        current,
        run.batches,
        checkpoints,
        board,
        stop,
        run.place,
        make_sample(config, run, board),
      )
  return summary(current, figures, workdir, stop)


@contextlib.contextmanager
def own(
  workdir: pathlib.Path, config: ml_collections.ConfigDict
) -> Iterator[None]:
  """Holds the folder for this run; the first process does it for all."""
  if jax.process_index() > 0:
    yield
    return
  with workdirs.lock(workdir):
    workdirs.own(workdir, config.to_dict())
    workdirs.note_commit(workdir, released.current_commit())
    yield


def open_board(workdir: pathlib.Path, step: int) -> metrics.Metrics:
  """Where figures go; those of all processes are the same."""
  if jax.process_index() > 0:
    return metrics.Nowhere()
  return metrics.Metrics(workdir, step)


def start(run: Run, seed: int, base: str) -> state.TrainState:
  """The state before the first step, from the parameters of `base` if any."""
  current = run.init(jax.random.key(seed))
  if not base:
    return current
  return state.branch(current, open_checkpoint(base).params, base)


def make_run(
  config: ml_collections.ConfigDict,
  settings: Settings,
  devices: Sequence[jax.Device] | None = None,
) -> Run:
  """Puts an experiment together; nothing is written or computed yet.

  Args:
    config: the experiment.
    settings: its `train`.
    devices: what to train on; None = all.
  """
  update = sections.call(
    optimizer.make_optimizer, 'optimizer', config.optimizer
  )
  model = build.make_model(config)
  sections.check(sharding.make_mesh, 'mesh', config.mesh)
  mesh = sharding.make_mesh(**config.mesh, devices=devices)
  init = make_init(config, model, update, settings.ema > 0)
  shapes = jax.eval_shape(init, jax.random.key(config.seed))
  shardings = sharding.parameter_shardings(mesh, shapes)
  step = make_train_step(
    build.make_objective(config, model),
    update,
    seed=config.seed,
    ema=settings.ema,
    compute_dtype=jnp.dtype(settings.precision),
    accumulate=settings.accumulate,
    state_sharding=shardings,
  )
  batches = build.make_pipeline(
    config,
    process_index=jax.process_index(),
    process_count=jax.process_count(),
  )
  return Run(
    model=model,
    mesh=mesh,
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
  config: ml_collections.ConfigDict, run: Run, board: metrics.Metrics
) -> Callable[[state.TrainState, int], None]:
  """`(state, step)`: writes a sheet of always the same held-out episodes."""
  sheet = build.make_sample_sheet(config, run.model)

  @functools.cache
  def episode():
    held_out = build.make_pipeline(config, 'test', batch_size=SHEET_EPISODES)
    return next(iter(held_out))

  def sample(current: state.TrainState, number: int) -> None:
    params = sharding.gather(run.mesh, current.best)
    if jax.process_index() == 0:
      picture = sheet(params, episode())
      say(f'images {board.image(number, "sheet", picture)}')

  return sample


def announce(
  current: state.TrainState, settings: Settings, workdir: pathlib.Path
) -> None:
  """Says what is going to be trained, and from where."""
  count = trees.count_parameters(current.params)
  say(
    f'{count:,} parameters, steps {int(current.step)} to {settings.steps}, '
    f'in {workdir}; the first step compiles'
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
