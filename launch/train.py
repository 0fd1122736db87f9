"""Trains an experiment.

  python -m launch.train --config=experiments/rooms_tiny.py --workdir=DIR

Run again with the same command, it goes on from the newest checkpoint and ends
in the same bits as if it had never been stopped.
"""

import functools
import pathlib
from typing import Any

import jax
import jax.numpy as jnp
import ml_collections
from absl import flags, logging
from ml_collections import config_flags

from launch import build
from launch.errors import run_program
from mirage_jax import sharding, trees
from mirage_jax.models.mirage import init_params
from mirage_jax.training import loop, metrics, state, stopping, workdirs
from mirage_jax.training.checkpoints import Checkpoints
from mirage_jax.training.optimizer import make_optimizer
from mirage_jax.training.step import make_train_step

_CONFIG = config_flags.DEFINE_config_file(
  'config', None, 'The experiment, e.g. experiments/rooms_tiny.py.'
)
_WORKDIR = flags.DEFINE_string('workdir', None, 'Folder of the run.')
_SEED = flags.DEFINE_integer('seed', None, 'Overrides config.seed.')


def main(_) -> dict[str, Any]:
  """Trains what the flags say and returns the run's figures."""
  logging.set_verbosity(logging.ERROR)
  for flag in (_CONFIG, _WORKDIR):
    if flag.value is None:
      raise ValueError(f'--{flag.name} is missing; see --help')
  config = _CONFIG.value
  if _SEED.value is not None:
    config.seed = _SEED.value
  workdir = pathlib.Path(_WORKDIR.value)
  with workdirs.lock(workdir):
    workdirs.own(workdir, config.to_dict())
    return train(config, workdir)


def train(
  config: ml_collections.ConfigDict, workdir: pathlib.Path
) -> dict[str, Any]:
  """Trains `config` in `workdir`, from its newest checkpoint if there is one.

  Raises:
    ValueError: a bad config, or checkpoints that do not fit it.
    FloatingPointError: a loss or gradient that is not finite.
    OSError: what could not be written.
  """
  settings = config.train
  mesh = sharding.make_mesh()
  model = build.make_model(config)
  optimizer = make_optimizer(**config.optimizer)
  batches = iter(build.make_pipeline(config))

  def init(key):
    params = init_params(model, key, config.source.height, config.source.width)
    return state.create_state(params, optimizer, settings.ema > 0)

  key = jax.random.key(config.seed)
  shapes = jax.eval_shape(init, key)
  shardings = sharding.parameter_shardings(mesh, shapes)
  step = make_train_step(
    build.make_objective(config, model),
    optimizer,
    seed=config.seed,
    ema=settings.ema,
    compute_dtype=jnp.dtype(settings.precision),
    state_sharding=shardings,
  )
  place = functools.partial(sharding.place_batch, mesh)
  print(f'{trees.count_parameters(shapes.params):,} parameters')
  with (
    Checkpoints(
      workdir, keep=settings.keep, keep_every=settings.keep_every
    ) as checkpoints,
    stopping.stop_on_signals() as stop,
  ):
    current = checkpoints.restore(trees.shapes(shapes, shardings), batches)
    if current is None:
      current = jax.jit(init, out_shardings=shardings)(key)
    start = int(current.step)
    with metrics.Metrics(workdir, start) as board:
      current, figures = loop.Loop(
        settings.steps,
        settings.log_every,
        settings.image_every,
        settings.checkpoint_every,
      ).run(step, current, batches, checkpoints, board, stop, place)
  return figures


if __name__ == '__main__':
  run_program(main)
