"""Measures the speed of worlds, memory, training and sampling.

  python -m launch.benchmark [--rows=worlds,memory,train,sample] [--repeats=9]

Prints a table, writes `--output`, and ends in one line of JSON. Ratios compare
calls that alternate within this run; times alone depend on the machine. Points
are pixels: one written point, or one ray read, each.
"""

import dataclasses
import functools
import json
import os
import pathlib
import platform
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import ml_collections
from absl import flags

from experiments import rooms_tiny, rooms_tiny_window
from launch import build, timing
from launch.errors import run_program
from mirage_jax.data.sources import open_source
from mirage_jax.geometry.clips import Clip, take_frames
from mirage_jax.models.generate import generate_chunk
from mirage_jax.models.mirage import init_params, init_states, write_frames
from mirage_jax.training.optimizer import make_optimizer
from mirage_jax.training.state import create_state
from mirage_jax.training.step import make_train_step
from mirage_jax.worlds import WorldConfig, make_clip

Rows = dict[str, timing.Spread]
SETTINGS = {'memory': rooms_tiny, 'window': rooms_tiny_window}
CHUNKS = (5, 100)

_ROWS = flags.DEFINE_list(
  'rows', ['worlds', 'memory', 'train', 'sample'], 'What to measure.'
)
_REPEATS = flags.DEFINE_integer(
  'repeats', 9, 'Measurements of each row.', lower_bound=1
)
_SEED = flags.DEFINE_integer('seed', 0, 'Of the worlds and parameters.')
_OUTPUT = flags.DEFINE_string('output', None, 'JSON file to write, if any.')


def worlds(repeats: int, seed: int) -> Rows:
  """Frames a second of the ray caster: 16 clips at a time, 64 x 64."""
  training = rooms_tiny.get_config().source
  names, functions, frames = [], [], []
  for kind in ('rooms', 'streets'):
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
      make = jax.jit(jax.vmap(functools.partial(make_clip, config=config)))
      keys = jax.random.split(jax.random.key(seed), 16)
      names.append(f'worlds_{kind}_{name}_frames_per_s')
      functions.append(functools.partial(make, keys))
      frames.append(len(keys) * config.frames)
  seconds = timing.alternate(functions, repeats)
  return {
    name: timing.spread(frames[i] / seconds[:, i])
    for i, name in enumerate(names)
  }


def memory(repeats: int, seed: int) -> Rows:
  """Points a second of the hash grid of `rooms_tiny`, and its constancy."""
  config = rooms_tiny.get_config()
  clip = _long_clip(config, seed, frames=16)
  grid = build.make_memory(config, exact=False)
  state = grid.init(clip.world_from_camera[0])
  features = jnp.zeros((*clip.depth_m.shape, grid.features)) + 0.1
  weight = (clip.depth_m > 0).astype(jnp.float32)
  h, w = clip.depth_m.shape[1:]

  def write(features):
    observed = grid.observe(state, clip.cameras, clip.depth_m, features, weight)
    return grid.write(state, observed)

  def read(state):
    return grid.read(state, clip.cameras, h, w).features

  def write_loss(features):
    floats = [
      x for x in jax.tree.leaves(write(features)) if x.dtype == jnp.float32
    ]
    return sum((x**2).sum() for x in floats)

  def both_loss(features):
    return (read(write(features)) ** 2).sum()

  written = jax.jit(write)(features)
  functions = {
    'memory_write': functools.partial(jax.jit(write), features),
    'memory_write_gradient': functools.partial(
      jax.jit(jax.grad(write_loss)), features
    ),
    'memory_read': functools.partial(jax.jit(read), written),
    'memory_write_read': functools.partial(
      jax.jit(lambda f: read(write(f))), features
    ),
    'memory_write_read_gradient': functools.partial(
      jax.jit(jax.grad(both_loss)), features
    ),
  }
  seconds = timing.alternate(list(functions.values()), repeats)
  points = clip.depth_m.size
  rows = {
    f'{name}_points_per_s': timing.spread(points / seconds[:, i])
    for i, name in enumerate(functions)
  }
  return rows | _constancy(config, repeats, seed)


def _constancy(
  config: ml_collections.ConfigDict, repeats: int, seed: int
) -> Rows:
  """Reads and writes of the exact memory after 5 chunks against after 100."""
  size = config.data.target
  clip = _long_clip(config, seed, frames=CHUNKS[-1] * size)
  grid = build.make_memory(config, exact=True)
  state = grid.init(clip.world_from_camera[0])

  @jax.jit
  def write(state, chunk: Clip):
    features = jnp.zeros((*chunk.depth_m.shape, grid.features)) + 0.1
    weight = (chunk.depth_m > 0).astype(jnp.float32)
    observed = grid.observe(
      state, chunk.cameras, chunk.depth_m, features, weight
    )
    return grid.write(state, observed)

  states = {}
  for index in range(CHUNKS[-1]):
    chunk = take_frames(clip, slice(index * size, (index + 1) * size))
    state = write(state, chunk)
    if index + 1 in CHUNKS:
      states[index + 1] = state
  last = take_frames(clip, slice(-size, None))
  read = jax.jit(
    lambda state: grid.read(state, last.cameras, *last.depth_m.shape[1:])
  )
  few, many = (states[count] for count in CHUNKS)
  calls = [functools.partial(f, s) for f in (read,) for s in (few, many)]
  calls += [functools.partial(write, s, last) for s in (few, many)]
  seconds = timing.alternate(calls, 4 * repeats, rounds=4)
  sizes = [grid.num_bytes(s) for s in (few, many)]
  return {
    'memory_read_chunk_ms': timing.spread(1e3 * seconds[:, 1]),
    'memory_read_chunk100_over_chunk5': timing.spread(
      seconds[:, 1] / seconds[:, 0]
    ),
    'memory_write_chunk_ms': timing.spread(1e3 * seconds[:, 3]),
    'memory_write_chunk100_over_chunk5': timing.spread(
      seconds[:, 3] / seconds[:, 2]
    ),
    'memory_bytes': timing.spread([sizes[1]]),
    'memory_bytes_chunk100_over_chunk5': timing.spread([sizes[1] / sizes[0]]),
  }


def _long_clip(
  config: ml_collections.ConfigDict, seed: int, frames: int
) -> Clip:
  """One clip of a room, as arrays on the device."""
  source = config.source.to_dict() | {'frames': frames, 'rays_per_pixel': 1}
  clip = open_source(source.pop('kind'), **source, seed=seed)[0]
  return jax.tree.map(jnp.asarray, clip)


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
  ratio = timing.spread(seconds[:, 0] / seconds[:, 1])
  return rows | {'train_memory_over_window': ratio}


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
  ratio = timing.spread(seconds[:, 0] / seconds[:, 1])
  return rows | {'sample_memory_over_window': ratio}


def _generator(config: ml_collections.ConfigDict) -> Callable[[], Any]:
  """A call that generates one chunk and writes it into the memory."""
  model, sampler = build.make_model(config, exact=True), None
  sampler = build.make_sampler(config)
  params = _init(model, config)
  window, target = config.data.context, config.data.target
  clip = _long_clip(config, config.seed, window + target)
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


MEASURES = {
  'worlds': worlds,
  'memory': memory,
  'train': train,
  'sample': sample,
}


def main(_) -> dict[str, float]:
  """Measures the rows asked for and returns their medians."""
  for name in _ROWS.value:
    if name not in MEASURES:
      raise ValueError(f'unknown row {name!r}; have {", ".join(MEASURES)}')
  rows: Rows = {}
  print(f'{"":44} {"median":>12} {"quartiles":>23}')
  for name in _ROWS.value:
    measured = MEASURES[name](_REPEATS.value, _SEED.value)
    for row, value in measured.items():
      quartiles = f'{value.low:.4g} - {value.high:.4g}'
      print(f'{row:44} {value.median:12.4g} {quartiles:>23}', flush=True)
    rows |= measured
  if _OUTPUT.value:
    _write(pathlib.Path(_OUTPUT.value), rows)
  return {name: value.median for name, value in rows.items()}


def _write(path: pathlib.Path, rows: Rows) -> None:
  """Writes the rows and the machine they hold for; the file is whole or not."""
  machine = {
    'device': jax.devices()[0].device_kind,
    'devices': jax.device_count(),
    'cores': os.cpu_count(),
    'processor': platform.machine(),
    'jax': jax.__version__,
  }
  content = {k: dataclasses.asdict(v) for k, v in rows.items()}
  path.parent.mkdir(parents=True, exist_ok=True)
  part = path.with_name(f'.{path.name}.part')
  part.write_text(json.dumps({'machine': machine, 'rows': content}, indent=1))
  os.replace(part, path)


if __name__ == '__main__':
  run_program(main)
