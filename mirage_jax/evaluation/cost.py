"""The cost suite: what a memory costs as writes go on.

Bytes, and milliseconds of a write of a chunk, of a read of a view, and of
generating a chunk with what the memory shows of it.

States of different ages are timed in turns within one run, so that whatever
else the machine does falls on all alike: compare ratios, not milliseconds of
different runs.
"""

import dataclasses
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
from mirage_jax.geometry.clips import Clip, take_frames
from mirage_jax.memory.contract import Memory
from mirage_jax.models.streaming import Session, Stream, window_of

Table = dict[str, statistics.Interval]

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


@dataclasses.dataclass(frozen=True)
class Bench:
  """What memories are timed on.

  Attributes:
    chunks: clips of `CHUNK` frames, written one after the other, over and over.
    repeats: measurements of each time.
    last: chunks written.
    seed: of the intervals.
  """

  chunks: Sequence[Clip]
  repeats: int
  last: int
  seed: int

  @property
  def kept(self) -> list[int]:
    """The ages that are timed."""
    return [age for age in TIMED if age <= self.last]


def of_memory(
  bench: Bench, memory: Memory, layers: nn.Module | None
) -> tuple[Table, list[int], dict[int, Any]]:
  """Bytes and times of a memory; bytes after every chunk; states by age."""
  write = writing.make_write(memory, layers=layers)
  first = bench.chunks[0]
  read = writing.make_read(memory, *first.depth_m.shape[-2:], layers=layers)
  states, sizes = ages(memory, write, bench.chunks, bench.kept, bench.last)
  cameras = jax.tree.map(lambda x: jnp.asarray(x[:1]), first.cameras)
  growth = max(sizes) - min(sizes)
  table = {
    'bytes': statistics.single(sizes[-1], bench.last + 1),
    'bytes_growth': statistics.single(growth, bench.last + 1),
  }
  for what, call in (
    ('read', lambda state: read(state, cameras)),
    ('write', lambda state: write(state, first)),
  ):
    times = alternated_ms(states, call, bench.repeats)
    table |= score(times, what, bench.seed)
  return table, sizes, states


def of_stream(bench: Bench, stream: Stream, states: Mapping[int, Any]) -> Table:
  """Times of generating a chunk of one scene, with its read of the memory.

  Args:
    bench: see there.
    stream: the model.
    states: its memory by age; empty for a model without.
  """
  first = jax.tree.map(lambda x: jnp.asarray(x[None]), bench.chunks[0])
  views = take_frames(first, slice(stream.target), axis=1)
  window, key = window_of(first, stream.context), jax.random.key(bench.seed)
  sessions = {
    age: Session(window, jax.tree.map(lambda x: x[None], states.get(age)))
    for age in bench.kept
  }

  def generate(session: Session) -> Clip:
    return stream.generate(session, key, views.cameras, views.time_s)[0]

  times = alternated_ms(sessions, generate, bench.repeats)
  return score(times, 'generate', bench.seed)


def run(
  memories: Mapping[str, Memory],
  source: str = 'rooms',
  *,
  layers: Mapping[str, nn.Module] | None = None,
  streams: Mapping[str, Stream] | None = None,
  size: tuple[int, int] = (64, 64),
  repeats: int = 31,
  last: int = LAST,
  seed: int = 0,
) -> tuple[dict[str, Table], dict[str, list[int]]]:
  """Bytes and times of each memory over a long stream of written chunks.

  Args:
    memories: by name.
    source: of the chunks.
    layers: what those memories that learn have learned, bound, by name.
    streams: the models that remember by them, or by none, by the same names.
    size: height and width of frames.
    repeats: measurements of each time.
    last: chunks written.
    seed: of the chunks and the intervals.

  Returns:
    `{name: {metric: interval}}` (a time's `mean` is its median), and the bytes
    after every chunk by name.
  """
  layers, streams = layers or {}, streams or {}
  clips = sources.open_source(
    source,
    clips=16,
    seed=seed,
    split='test',
    height=size[0],
    width=size[1],
  )
  chunks = [part for clip in clips for part in writing.chunks_of(clip, CHUNK)]
  bench = Bench(chunks, repeats, last, seed)
  names = list(dict.fromkeys([*memories, *streams]))
  progress = Progress('cost', len(names))
  table: dict[str, Table] = {name: {} for name in names}
  sizes = {}
  for name in names:
    states = {}
    if name in memories:
      found = of_memory(bench, memories[name], layers.get(name))
      table[name], sizes[name], states = found
    if name in streams:
      table[name] |= of_stream(bench, streams[name], states)
    progress.advance()
  for name in [name for name in table if name != OURS and OURS in table]:
    table[name] |= against(table[name], table[OURS])
    if name in sizes:
      dearer = dearer_from(sizes[name], sizes[OURS])
      table[name]['dearer_in_bytes_from_chunk'] = dearer
  return table, sizes


def against(table: Table, ours: Table) -> Table:
  """From which chunk on a memory is slower than ours."""
  return {
    f'slower_to_{what}_from_chunk': slower_from(table, ours, what)
    for what in ('read', 'generate')
    if f'{what}_ms_chunk_{TIMED[0]}' in table
    and f'{what}_ms_chunk_{TIMED[0]}' in ours
  }


def dearer_from(
  sizes: Sequence[int], ours: Sequence[int]
) -> statistics.Interval:
  """The chunk from which on a memory keeps more bytes; no value if never."""
  more = np.asarray(sizes) > np.asarray(ours)
  return _from_chunk(range(len(more)), more)


def slower_from(
  table: Table, ours: Table, what: str = 'read'
) -> statistics.Interval:
  """Of the timed chunks, the first from which on `what` takes longer."""
  names = [f'{what}_ms_chunk_{age}' for age in TIMED]
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


def curve(table: Table, what: str) -> tuple[np.ndarray, np.ndarray]:
  """The timed chunks and the milliseconds of `what` after each."""
  ages = [age for age in TIMED if f'{what}_ms_chunk_{age}' in table]
  times = [table[f'{what}_ms_chunk_{age}']['mean'] for age in ages]
  return np.array(ages), np.array(times)
