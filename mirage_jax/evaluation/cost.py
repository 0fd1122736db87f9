"""The cost suite: bytes, and milliseconds a write and a read, as writes go on.

States of different ages are timed in turns within one run, so that whatever
else the machine does falls on all alike: compare ratios, not milliseconds of
different runs.
"""

import time
from collections.abc import Mapping, Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from mirage_jax.arrays import Bool, Float
from mirage_jax.data import sources
from mirage_jax.evaluation import statistics, writing
from mirage_jax.evaluation.progress import Progress
from mirage_jax.geometry.clips import Clip
from mirage_jax.memory.contract import Memory

CHUNK = 4
TIMED = (1, 5, 20, 50, 100)  # chunks after which a read is timed
EARLY, LATE = 5, 100
OURS = 'view_grid'  # that the others are compared with
LAST = 400


def ages(
  memory: Memory,
  write: writing.Write,
  chunks: Sequence[Clip],
  kept: Sequence[int],
  last: int,
) -> tuple[dict[int, Any], list[int]]:
  """States after `kept` chunks, and the bytes after every chunk to `last`."""
  state = memory.init(jnp.asarray(chunks[0].world_from_camera[0]))
  states, sizes = {}, [memory.num_bytes(state)]
  for i in range(last):
    chunk = chunks[i % len(chunks)]
    state = memory.make_room(state, chunk.depth_m.size)
    state = write(state, chunk)
    sizes.append(memory.num_bytes(state))
    if i + 1 in kept:
      states[i + 1] = jax.block_until_ready(state)
  return states, sizes


def alternated_ms(
  states: Mapping[int, Any], call, repeats: int
) -> dict[int, Float[np.ndarray, 'n']]:
  """Milliseconds of `call(state)` for states in turns, to and fro."""
  for state in states.values():
    jax.block_until_ready(call(state))
  times = {age: [] for age in states}
  for repeat in range(repeats):
    order = list(states)[:: 1 if repeat % 2 else -1]
    for age in order:
      start = time.perf_counter()
      jax.block_until_ready(call(states[age]))
      times[age].append(1e3 * (time.perf_counter() - start))
  return {age: np.array(x) for age, x in times.items()}


def score(
  times: Mapping[int, Float[np.ndarray, 'n']], name: str, seed: int
) -> dict[str, statistics.Interval]:
  """Milliseconds at each age, and the paired median ratio late to early."""
  table = {
    f'{name}_ms_chunk_{age}': median_interval(x, seed)
    for age, x in times.items()
  }
  if EARLY in times and LATE in times:
    ratio = times[LATE] / times[EARLY]
    table[f'{name}_ratio_{LATE}_to_{EARLY}'] = median_interval(ratio, seed)
  return table


def median_interval(
  values: Float[np.ndarray, 'n'], seed: int
) -> statistics.Interval:
  """The median with its 95 % bootstrap interval."""
  rng = np.random.default_rng(seed)
  draws = np.median(
    values[rng.integers(0, len(values), (statistics.RESAMPLES, len(values)))], 1
  )
  low, high = np.quantile(draws, (0.025, 0.975))
  middle = float(np.median(values))
  n = len(values)
  return {'mean': middle, 'low': float(low), 'high': float(high), 'n': n}


def run(
  memories: Mapping[str, Memory],
  source: str = 'rooms',
  *,
  layers: Mapping[str, nn.Module] | None = None,
  repeats: int = 31,
  last: int = LAST,
  seed: int = 0,
) -> tuple[dict[str, dict], dict[str, list[int]]]:
  """Bytes and times of each memory over a long stream of written chunks.

  Args:
    memories: by name.
    source: of the chunks.
    layers: what those memories that learn have learned, bound, by name.
    repeats: measurements of each time.
    last: chunks written.
    seed: of the chunks and the intervals.

  Returns:
    `{name: {metric: interval}}` (a time's `mean` is its median), and the bytes
    after every chunk by name.
  """
  clips = sources.open_source(source, clips=16, seed=seed, split='test')
  chunks = [part for clip in clips for part in writing.chunks_of(clip, CHUNK)]
  progress = Progress('cost', len(memories))
  table, sizes = {}, {}
  for name, memory in memories.items():
    kept = [age for age in TIMED if age <= last]
    learned = (layers or {}).get(name)
    write = writing.make_write(memory, layers=learned)
    size = chunks[0].depth_m.shape[-2:]
    read = writing.make_read(memory, *size, layers=learned)
    states, sizes[name] = ages(memory, write, chunks, kept, last)
    cameras = jax.tree.map(lambda x: jnp.asarray(x[:1]), chunks[0].cameras)
    calls = {
      'read': lambda state, read=read, at=cameras: read(state, at),
      'write': lambda state, write=write: write(state, chunks[0]),
    }
    table[name] = {
      'bytes': statistics.single(sizes[name][-1], last + 1),
      'bytes_growth': statistics.single(
        max(sizes[name]) - min(sizes[name]), last + 1
      ),
    }
    for what, call in calls.items():
      times = alternated_ms(states, call, repeats)
      table[name] |= score(times, what, seed)
    progress.advance()
  for name in [name for name in table if name != OURS and OURS in table]:
    table[name] |= {
      'dearer_in_bytes_from_chunk': dearer_from(sizes[name], sizes[OURS]),
      'slower_to_read_from_chunk': slower_from(table[name], table[OURS]),
    }
  return table, sizes


def dearer_from(
  sizes: Sequence[int], ours: Sequence[int]
) -> statistics.Interval:
  """The chunk from which on a memory keeps more bytes; no value if never."""
  more = np.asarray(sizes) > np.asarray(ours)
  return _from_chunk(range(len(more)), more)


def slower_from(
  table: Mapping[str, statistics.Interval],
  ours: Mapping[str, statistics.Interval],
) -> statistics.Interval:
  """Of the timed chunks, the first from which on a read takes longer."""
  names = [f'read_ms_chunk_{age}' for age in TIMED]
  timed = [
    (age, table[name]['mean'] > ours[name]['mean'])
    for age, name in zip(TIMED, names, strict=True)
    if name in table and name in ours
  ]
  return _from_chunk([age for age, _ in timed], [more for _, more in timed])


def _from_chunk(
  chunks: Sequence[int], more: Sequence[bool] | Bool[np.ndarray, 'n']
) -> statistics.Interval:
  """The first chunk of the last stretch in which it is more."""
  last = [i for i, x in enumerate(more) if not x]
  first = last[-1] + 1 if last else 0
  if first == len(more):
    return {'mean': None, 'low': None, 'high': None, 'n': len(more)}
  return statistics.single(chunks[first], len(more))
