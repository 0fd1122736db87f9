"""Measures the speed of memories, empty and after many chunks.

Points are pixels: one written point, or one ray read, each.
"""

import functools
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp

from mirage_jax import build
from mirage_jax.build import Settings
from mirage_jax.data.sources.catalog import open_source
from mirage_jax.geometry.clips import Clip, take_frames
from mirage_jax.memory.contract import Observed, Views
from mirage_jax.profiling import timing
from mirage_jax.profiling.timing import Rows

CHUNKS = (5, 100)  # after which reads and writes are compared
FRAMES = 16  # of one write and one read


def memory(
  repeats: int, seed: int, experiments: Mapping[str, Settings]
) -> Rows:
  """Measures points per second, and times after 100 chunks over after 5."""
  clip = long_clip(next(iter(experiments.values())), seed, FRAMES)
  rows = {}
  for kind, settings in experiments.items():
    calls = _calls(build.make_memory(settings, 'train'), clip)
    seconds = timing.alternate(list(calls.values()), repeats)
    rates = clip.depth_m.size / seconds
    found = {
      f'{name}_points_per_s': timing.spread(rates[:, i])
      for i, name in enumerate(calls)
    }
    found |= _constancy(settings, repeats, seed)
    rows |= {f'{kind}_{name}': row for name, row in found.items()}
  return rows


def _calls(grid: Any, clip: Clip) -> dict[str, Callable[[], Any]]:
  """Returns calls that write, read, do both, and take the gradient."""
  state = grid.init(clip.world_from_camera[0])
  features = jnp.full((*clip.depth_m.shape, grid.features), 0.1)
  weight = (clip.depth_m > 0).astype(jnp.float32)
  views = Views.still(clip.cameras, *clip.depth_m.shape[1:])

  def write(features):
    observed = Observed.still(clip.cameras, clip.depth_m, features, weight)
    return grid.write(state, grid.observe(state, observed))

  def read(state):
    return grid.read(state, views).features

  def loss(features):
    return (read(write(features)) ** 2).sum()

  written = jax.jit(write)(features)
  return {
    'write': functools.partial(jax.jit(write), features),
    'read': functools.partial(jax.jit(read), written),
    'write_read': functools.partial(
      jax.jit(lambda f: read(write(f))), features
    ),
    'write_read_gradient': functools.partial(
      jax.jit(jax.value_and_grad(loss)), features
    ),
  }


def _constancy(settings: Settings, repeats: int, seed: int) -> Rows:
  """Times reads and writes of the exact memory after 5 and 100 chunks."""
  size = settings['data']['target']
  clip = long_clip(settings, seed, frames=CHUNKS[-1] * size)
  grid: Any = build.make_memory(settings, 'rollout')
  state = grid.init(clip.world_from_camera[0])

  @jax.jit
  def write(state, chunk: Clip):
    features = jnp.zeros((*chunk.depth_m.shape, grid.features)) + 0.1
    weight = (chunk.depth_m > 0).astype(jnp.float32)
    observed = Observed.still(chunk.cameras, chunk.depth_m, features, weight)
    return grid.write(state, grid.observe(state, observed))

  few, many = _written(write, state, clip, size)
  last = take_frames(clip, slice(-size, None))
  views = Views.still(last.cameras, *last.depth_m.shape[1:])
  read = jax.jit(lambda state: grid.read(state, views))
  calls = {
    'read': [functools.partial(read, s) for s in (few, many)],
    'write': [functools.partial(write, s, last) for s in (few, many)],
  }
  sizes = [grid.num_bytes(s) for s in (few, many)]
  rows = {'bytes': timing.spread(sizes[1:])}
  rows['bytes_chunk100_over_chunk5'] = timing.spread([sizes[1] / sizes[0]])
  for name, pair in calls.items():
    seconds = timing.alternate(pair, 4 * repeats, rounds=4)
    rows[f'{name}_chunk_ms'] = timing.spread(1e3 * seconds[:, 1])
    rows[f'{name}_chunk100_over_chunk5'] = timing.spread(
      seconds[:, 1] / seconds[:, 0]
    )
  return rows


def _written(write: Callable, state: Any, clip: Clip, size: int) -> list[Any]:
  """Returns the states after each of `CHUNKS` chunks of `size` frames."""
  states = []
  for index in range(CHUNKS[-1]):
    chunk = take_frames(clip, slice(index * size, (index + 1) * size))
    state = write(state, chunk)
    if index + 1 in CHUNKS:
      states.append(state)
  return states


def long_clip(settings: Settings, seed: int, frames: int) -> Clip:
  """Renders one clip of a room, as arrays on the device."""
  source = dict(settings['source']) | {'frames': frames, 'rays_per_pixel': 1}
  clip = open_source(source.pop('kind'), **source, seed=seed)[0]
  return jax.tree.map(jnp.asarray, clip)
