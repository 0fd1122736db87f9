"""Speed of the worlds, of training and of sampling, and what memories cost."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np

from experiments import bench as bench_experiment
from experiments import rooms_tiny, rooms_tiny_cells, rooms_tiny_window
from launch import build, timing
from launch.memory_rows import long_clip
from launch.timing import Rows
from mirage_jax.geometry.clips import Clip, take_frames
from mirage_jax.models.generate import generate_chunk
from mirage_jax.models.mirage import init_params, init_states, write_frames
from mirage_jax.training.optimizer import make_optimizer
from mirage_jax.training.state import create_state
from mirage_jax.training.step import make_train_step
from mirage_jax.worlds import KINDS, WorldConfig, make_clip

CLIPS = 16  # rendered by one call
SETTINGS = {
  'memory': rooms_tiny,
  'cells': rooms_tiny_cells,
  'window': rooms_tiny_window,
}


def worlds(repeats: int, seed: int) -> Rows:
  """Frames a second of the ray caster, 64 x 64."""
  training = rooms_tiny.get_config().source
  names, functions, frames = [], [], []
  for kind in KINDS:
    for name, rays in (
      ('one_ray', 1),
      ('training', training.rays_per_pixel),
    ):
      config = WorldConfig(
        kind=kind,
        frames=training.frames,
        height=training.height,
        width=training.width,
        rays_per_pixel=rays,
      )
      names.append(f'worlds_{kind}_{name}_frames_per_s')
      functions.append(functools.partial(_clips, config, seed))
      frames.append(CLIPS * config.frames)
  seconds = timing.alternate(functions, repeats)
  return {
    name: timing.spread(frames[i] / seconds[:, i])
    for i, name in enumerate(names)
  }


def _clips(config: WorldConfig, seed: int) -> list[Clip]:
  keys = jax.random.split(jax.random.key(seed), CLIPS)
  return [make_clip(key, config) for key in keys]


def train(repeats: int, seed: int) -> Rows:
  """Steps a second with and without memory, and what memory costs."""
  batch = None
  calls = []
  for experiment in SETTINGS.values():
    config = experiment.get_config()
    config.source.clips, config.seed = config.data.batch_size, seed
    if batch is None:
      batch = next(iter(build.make_pipeline(config)))
      batch = jax.tree.map(jnp.asarray, batch)
    calls.append(_stepper(config, batch))
  seconds = timing.alternate(calls, repeats)
  rows = {
    f'train_{name}_steps_per_s': timing.spread(1 / seconds[:, i])
    for i, name in enumerate(SETTINGS)
  }
  return rows | _over_window('train', seconds)


def _over_window(what: str, seconds: np.ndarray) -> Rows:
  """How often as long as the last of `SETTINGS` the others take."""
  *others, _ = SETTINGS
  return {
    f'{what}_{name}_over_window': timing.spread(seconds[:, i] / seconds[:, -1])
    for i, name in enumerate(others)
  }


def bench(repeats: int, seed: int) -> Rows:
  """What each memory of the bench costs over the window alone.

  Of a training step, and of a generated chunk with its write and read.
  """
  steppers, generators = [], []
  for memory in bench_experiment.MEMORIES:
    config = bench_experiment.get_config(memory)
    config.source.kind, config.seed = 'rooms', seed
    config.source.clips = config.data.batch_size
    batch = next(iter(build.make_pipeline(config)))
    steppers.append(_stepper(config, jax.tree.map(jnp.asarray, batch)))
    generators.append(_generator(config))
  rows = {}
  for what, calls in (('train', steppers), ('sample', generators)):
    seconds = timing.alternate(calls, repeats)
    none = seconds[:, bench_experiment.MEMORIES.index('none')]
    rows |= {
      f'bench_{what}_{memory}_over_none': timing.spread(seconds[:, i] / none)
      for i, memory in enumerate(bench_experiment.MEMORIES)
    }
  return rows


def _stepper(
  config: ml_collections.ConfigDict, batch: Any
) -> Callable[[], jax.Array]:
  """A call that takes one training step on `batch`."""
  model = build.make_model(config)
  optimizer = make_optimizer(**config.optimizer)
  step = make_train_step(
    build.make_objective(config, model),
    optimizer,
    seed=config.seed,
    ema=config.train.ema,
    compute_dtype=jnp.dtype(config.train.precision),
  )
  params = _init(model, config)
  current = [create_state(params, optimizer, config.train.ema > 0)]

  def take() -> jax.Array:
    current[0], metrics = step(current[0], batch)
    return metrics['loss']

  return take


def sample(repeats: int, seed: int) -> Rows:
  """Seconds a generated frame: read, integrate, write back; one video."""
  calls = []
  for experiment in SETTINGS.values():
    config = experiment.get_config()
    config.seed = seed
    calls.append(_generator(config))
  seconds = timing.alternate(calls, repeats) / config.data.target
  rows = {
    f'sample_{name}_s_per_frame': timing.spread(seconds[:, i])
    for i, name in enumerate(SETTINGS)
  }
  return rows | _over_window('sample', seconds)


def _generator(config: ml_collections.ConfigDict) -> Callable[[], Any]:
  """A call that generates one chunk and writes it into the memory."""
  model, sampler = build.make_model(config, exact=True), None
  sampler = build.make_sampler(config)
  params = _init(model, config)
  window, target = config.data.context, config.data.target
  clip = long_clip(config, config.seed, window + target)
  clip = jax.tree.map(lambda x: x[None], clip)
  context = take_frames(clip, slice(0, window), axis=1)
  rest = take_frames(clip, slice(window, None), axis=1)
  states = init_states(model, clip.world_from_camera[:, 0])
  states = write_frames(model, params, states, context, False)

  @jax.jit
  def chunk(params, states, key):
    frames, _ = generate_chunk(
      model, params, key, context, rest.cameras, states, sampler
    )
    made = frames.to_clip(rest.cameras, rest.time_s)
    return frames.rgb, write_frames(model, params, states, made, True)

  return lambda: chunk(params, states, jax.random.key(config.seed))


def _init(model, config: ml_collections.ConfigDict) -> Any:
  key = jax.random.key(config.seed)
  return init_params(model, key, config.source.height, config.source.width)
