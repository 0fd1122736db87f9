"""Trains an experiment.

  python -m launch.train --config=experiments/rooms_tiny.py --workdir=DIR

Run again with the same command, it goes on from the newest checkpoint and ends
in the same bits as a run that was never stopped. SIGTERM saves, and the exit
code is 0. On several hosts, run the same command on each (`launch/cluster.py`).
"""

import contextlib
import functools
import pathlib
from collections.abc import Callable, Iterator
from typing import Any

import jax
import ml_collections
from absl import flags, logging
from ml_collections import config_flags

from launch import cluster
from launch.program import run_program
from mirage_jax import build, sharding, trees
from mirage_jax.runs import export, metrics, stopping, watchdog, workdirs
from mirage_jax.runs.checkpoints import Checkpoints
from mirage_jax.runs.locate import open_checkpoint
from mirage_jax.runs.loop import Loop
from mirage_jax.runs.run import Run, Settings
from mirage_jax.runs.sample_sheet import make_sample_sheet
from mirage_jax.runs.throughput import say
from mirage_jax.training import state

_CONFIG = config_flags.DEFINE_config_file(
  'config', None, 'The experiment, e.g. experiments/rooms_tiny.py.'
)
_WORKDIR = flags.DEFINE_string('workdir', None, 'Folder of the run.')
_SEED = flags.DEFINE_integer('seed', None, 'Overrides config.seed.')

SHEET_EPISODES = 4


def main(_) -> dict[str, Any]:
  """Trains the experiment of the flags and returns the run's figures."""
  logging.set_verbosity(logging.FATAL)  # Orbax logs every save
  if _CONFIG.value is None or _WORKDIR.value is None:
    missing = 'config' if _CONFIG.value is None else 'workdir'
    raise ValueError(f'--{missing} is missing; see --help')
  config, workdir = _CONFIG.value, to_folder(_WORKDIR.value)
  if _SEED.value is not None:
    config.seed = _SEED.value
  cluster.connect()
  if not jax.config.values['jax_compilation_cache_dir']:
    # A restart finds its programs compiled.
    jax.config.update('jax_compilation_cache_dir', str(workdir / '.compiled'))
  with stopping.stop_on_signals() as stop:
    return train(config, workdir, stop)


def to_folder(workdir: str) -> pathlib.Path:
  """Returns the folder that `--workdir` names.

  Raises:
    ValueError: it is a URL, which as a path would be a local folder `gs:`.
  """
  if '://' in workdir:
    raise ValueError(
      f'workdir {workdir!r} is a URL; expected a folder: give one that all '
      'hosts share, or mount the bucket, e.g. with gcsfuse'
    )
  return pathlib.Path(workdir)


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
    OSError: the workdir cannot be written.
  """
  run = build.make_run(config.to_dict())
  settings = run.settings
  with (
    hold(workdir, config),
    Checkpoints(
      workdir, keep=settings.keep, keep_every=settings.keep_every
    ) as checkpoints,
  ):
    current = checkpoints.restore(run.shapes, run.batches)
    if current is None:
      current = start(run, config.seed, settings.base)
    announce(current, settings, workdir)
    patience_s = settings.patience_s if jax.process_count() > 1 else 0.0
    with (
      open_board(workdir, int(current.step)) as board,
      watchdog.watch(patience_s) as beat,
    ):
      loop = Loop(
        settings.steps,
        settings.log_every,
        settings.image_every,
        settings.checkpoint_every,
      )
      current, figures = loop.run(
        make_step(run, beat),
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
def hold(
  workdir: pathlib.Path, config: ml_collections.ConfigDict
) -> Iterator[None]:
  """Locks the folder for this run; the first process does so for all."""
  if jax.process_index() > 0:
    yield
    return
  with workdirs.lock(workdir):
    workdirs.own(workdir, config.to_dict())
    workdirs.note_commit(workdir, export.current_commit())
    yield


def open_board(workdir: pathlib.Path, step: int) -> metrics.Metrics:
  """Opens the log of metrics; the first process writes it for all."""
  if jax.process_index() > 0:
    return metrics.Nowhere()
  return metrics.Metrics(workdir, step)


def start(run: Run, seed: int, base: str) -> state.TrainState:
  """Makes the state before the first step, with parameters of `base` if any."""
  current = run.init(jax.random.key(seed))
  if not base:
    return current
  return state.branch(current, open_checkpoint(base).params, base)


def make_step(run: Run, beat: Callable[[], None]) -> Callable[..., Any]:
  """Makes the step on its mesh; it reports each call to the watchdog."""
  step, frozen = sharding.on(run.mesh, run.step), run.place_frozen()

  def take(current: state.TrainState, batch: Any) -> Any:
    beat()
    return step(current, batch, *frozen)

  return take


def make_sample(
  config: ml_collections.ConfigDict, run: Run, board: metrics.Metrics
) -> Callable[[state.TrainState, int], None]:
  """Makes `(state, step)`: writes a sheet of fixed held-out episodes."""
  if not config.train.image_every:
    return lambda current, number: None
  sheet = make_sample_sheet(run.model, build.make_sampler(config.to_dict()))

  # Opened now, so that data without a held-out part is refused at once.
  held_out = build.make_pipeline(
    config.to_dict(), 'test', batch_size=SHEET_EPISODES
  )

  @functools.cache
  def episode():
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
  """Prints the number of parameters, the steps and the workdir."""
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
  """Returns the main figures of a run; from its log if no step was left."""
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
