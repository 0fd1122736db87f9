"""Measures the speed of worlds, training and sampling, and of the bench."""

import copy
import functools
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from mirage_jax import build
from mirage_jax.build import Settings
from mirage_jax.geometry.clips import Clip, take_frames
from mirage_jax.models import rollout
from mirage_jax.models.codec import fill_masks
from mirage_jax.models.scenes import init_states, write_frames
from mirage_jax.models.world_model import WorldModel, init_params
from mirage_jax.profiling import timing
from mirage_jax.profiling.memory_cases import long_clip
from mirage_jax.profiling.timing import Rows
from mirage_jax.training.optimizer import make_optimizer
from mirage_jax.training.state import create_state
from mirage_jax.training.step import make_train_step
from mirage_jax.worlds import KINDS, WorldConfig, make_clip

CLIPS = 16  # rendered by one call


def worlds(repeats: int, seed: int, settings: Settings) -> Rows:
  """Measures frames per second of the ray caster at an experiment's size."""
  source = settings['source']
  names, functions, frames = [], [], []
  for kind in KINDS:
    for name, rays in (
      ('one_ray', 1),
      ('training', source['rays_per_pixel']),
    ):
      config = WorldConfig(
        kind=kind,
        frames=source['frames'],
        height=source['height'],
        width=source['width'],
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


def train(repeats: int, seed: int, experiments: Mapping[str, Settings]) -> Rows:
  """Measures steps per second, and step times relative to `window`.

  All experiments train on the same batch, that of the first.
  """
  calls, batch = [], None
  for settings in experiments.values():
    settings = _one_batch(settings, seed)
    if batch is None:
      batch = _batch(settings)
    calls.append(_training_step(settings, batch))
  seconds = timing.alternate(calls, repeats)
  rows = {
    f'train_{name}_steps_per_s': timing.spread(1 / seconds[:, i])
    for i, name in enumerate(experiments)
  }
  return rows | _relative('train', seconds, list(experiments), 'window')


def bench(repeats: int, seed: int, experiments: Mapping[str, Settings]) -> Rows:
  """Measures training steps and generated chunks relative to `none`."""
  steps, chunks = [], []
  for settings in experiments.values():
    settings = _one_batch(settings, seed)
    settings['source']['kind'] = 'rooms'
    steps.append(_training_step(settings, _batch(settings)))
    chunks.append(_generated_chunk(settings))
  rows = {}
  for what, calls in (('bench_train', steps), ('bench_sample', chunks)):
    seconds = timing.alternate(calls, repeats)
    rows |= _relative(what, seconds, list(experiments), 'none')
  return rows


def _relative(
  what: str, seconds: np.ndarray, names: list[str], baseline: str
) -> Rows:
  """Divides times `[repeats, names]` of the others by those of `baseline`."""
  base = seconds[:, names.index(baseline)]
  return {
    f'{what}_{name}_over_{baseline}': timing.spread(seconds[:, i] / base)
    for i, name in enumerate(names)
    if name != baseline
  }


def _one_batch(settings: Settings, seed: int) -> dict[str, Any]:
  """Copies the settings, with as many clips as a batch has examples."""
  settings = copy.deepcopy(dict(settings)) | {'seed': seed}
  settings['source']['clips'] = settings['data']['batch_size']
  return settings


def _batch(settings: Settings) -> Any:
  batch = next(iter(build.make_pipeline(settings)))
  return jax.tree.map(jnp.asarray, batch)


def _training_step(settings: Settings, batch: Any) -> Callable[[], jax.Array]:
  """Returns a call that takes one training step on `batch`."""
  model, train = build.make_model(settings), settings['train']
  optimizer = make_optimizer(**settings['optimizer'])
  step = make_train_step(
    build.make_objective(settings, model),
    optimizer,
    seed=settings['seed'],
    ema=train['ema'],
    compute_dtype=jnp.dtype(train['precision']),
  )
  params = _init(model, settings)
  current = [create_state(params, optimizer, train['ema'] > 0)]

  def take() -> jax.Array:
    current[0], metrics = step(current[0], batch)
    return metrics['loss']

  return take


def sample(
  repeats: int, seed: int, experiments: Mapping[str, Settings]
) -> Rows:
  """Measures seconds per generated frame of one video, memory included."""
  calls, frames = [], []
  for settings in experiments.values():
    calls.append(_generated_chunk(dict(settings) | {'seed': seed}))
    frames.append(settings['data']['target'])
  seconds = timing.alternate(calls, repeats) / np.array(frames)
  rows = {
    f'sample_{name}_s_per_frame': timing.spread(seconds[:, i])
    for i, name in enumerate(experiments)
  }
  return rows | _relative('sample', seconds, list(experiments), 'window')


def _generated_chunk(settings: Settings) -> Callable[[], Any]:
  """Returns a call that generates a chunk and writes it into the memory."""
  model = build.make_model(settings, exact=True)
  sampler = build.make_sampler(settings)
  params = _init(model, settings)
  window, target = settings['data']['context'], settings['data']['target']
  clip = long_clip(settings, settings['seed'], window + target)
  clip = jax.tree.map(lambda x: x[None], fill_masks(clip))
  context = take_frames(clip, slice(0, window), axis=1)
  rest = take_frames(clip, slice(window, None), axis=1)
  states = init_states(model, clip.world_from_camera[:, 0])
  states = write_frames(model, params, states, context, False)

  @jax.jit
  def chunk(params, states, key):
    made, _, _ = rollout.generate(
      model, sampler, params, key, context, states, rest.cameras, rest.time_s
    )
    return made.rgb, write_frames(model, params, states, made, True)

  return lambda: chunk(params, states, jax.random.key(settings['seed']))


def _init(model: WorldModel, settings: Settings) -> Any:
  key, source = jax.random.key(settings['seed']), settings['source']
  return init_params(model, key, source['height'], source['width'])
