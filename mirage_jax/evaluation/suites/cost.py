"""The cost suite: what a memory costs as writes go on.

Bytes, and milliseconds of a write of a chunk, of a read of a view, and of
generating a chunk with what the memory shows of it; `..._ms@chunk=100` is after
100 written chunks.

All memories at all ages are timed in turns within one run, so that whatever
else the machine does falls on all alike: compare ratios, not milliseconds of
different runs.
"""

import dataclasses
import functools
import pathlib
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from mirage_jax.arrays import Bool, Float
from mirage_jax.evaluation import writing
from mirage_jax.evaluation.closed_loop import Curve
from mirage_jax.evaluation.entrants import Entrant
from mirage_jax.evaluation.memories import MEMORIES
from mirage_jax.evaluation.metrics import statistics
from mirage_jax.evaluation.reports import tables
from mirage_jax.evaluation.reports.tables import Table
from mirage_jax.evaluation.suite import Setting, Suite
from mirage_jax.geometry.clips import Clip, take_frames
from mirage_jax.memory.contract import Memory
from mirage_jax.models.rollout import CompiledModel, Session, last_frames
from mirage_jax.progress import Progress

Figures = dict[str, statistics.Interval]

TIMED = (1, 5, 20, 50, 100)  # chunks after which a read is timed
EARLY, LATE = 5, 100
TIMES = ('write', 'read', 'generate')
FRAMES = 32  # of a rendered clip
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
    state = memory.reserve(state, chunk.depth_m.size)
    state = write(state, chunk)
    sizes.append(memory.num_bytes(state))
    if i + 1 in kept:
      states[i + 1] = jax.block_until_ready(state)
  return states, sizes


def alternated_ms(
  calls: Mapping[Any, Callable[[], Any]], repeats: int
) -> dict[Any, Float[np.ndarray, 'n']]:
  """Milliseconds of each call, taken in turns, to and fro."""
  for call in calls.values():
    jax.block_until_ready(call())
  times = {which: [] for which in calls}
  for repeat in range(repeats):
    for which in list(calls)[:: 1 if repeat % 2 else -1]:
      start = time.perf_counter()
      jax.block_until_ready(calls[which]())
      times[which].append(1e3 * (time.perf_counter() - start))
  return {which: np.array(x) for which, x in times.items()}


def score(
  times: Mapping[int, Float[np.ndarray, 'n']], name: str, seed: int
) -> Figures:
  """Milliseconds at each age, and the paired median ratio late to early."""
  table = {
    f'{name}_ms@chunk={age}': median_interval(x, seed)
    for age, x in times.items()
  }
  if EARLY in times and LATE in times:
    ratio = times[LATE] / times[EARLY]
    key = f'{name}_over_chunk_{EARLY}@chunk={LATE}'
    table[key] = median_interval(ratio, seed)
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
class Aged:
  """A memory, a model, or both, at several ages.

  Attributes:
    sizes: bytes after every chunk; none without a memory.
    calls: what is timed, `{(what, age): call}`.
  """

  sizes: list[int]
  calls: dict[tuple[str, int], Callable[[], Any]]


def make_aged(
  chunks: Sequence[Clip],
  last: int,
  memory: Memory | None,
  layers: nn.Module | None = None,
  compiled: CompiledModel | None = None,
) -> Aged:
  """Writes `last` chunks and keeps what is to be timed.

  Args:
    chunks: clips that are written one after the other, over and over.
    last: how many are written.
    memory: None for a model without.
    layers: what the memory has learned, bound, if it learns.
    compiled: the model that remembers by it, if there is one.
  """
  kept = [age for age in TIMED if age <= last]
  first, states, sizes, calls = chunks[0], {}, [], {}
  if memory is not None:
    write = writing.make_write(memory, layers=layers)
    read = writing.make_read(memory, *first.depth_m.shape[-2:], layers=layers)
    states, sizes = ages(memory, write, chunks, kept, last)
    cameras = jax.tree.map(lambda x: jnp.asarray(x[:1]), first.cameras)
    for age, state in states.items():
      calls['write', age] = functools.partial(write, state, first)
      calls['read', age] = functools.partial(read, state, cameras)
  if compiled is not None:
    generate = make_generate(compiled, first)
    for age in kept:
      state = jax.tree.map(lambda x: x[None], states.get(age))
      calls['generate', age] = functools.partial(generate, state)
  return Aged(sizes, calls)


def make_generate(compiled: CompiledModel, clip: Clip) -> Callable[[Any], Clip]:
  """`(states) -> frames`: the model generates what a clip's cameras see.

  With its read of the memory, for one scene.
  """
  one = jax.tree.map(lambda x: jnp.asarray(x[None]), clip)
  views = take_frames(one, slice(compiled.chunk_frames), axis=1)
  context = last_frames(one, compiled.context_frames)
  key = jax.random.key(0)

  def generate(states: Any) -> Clip:
    session = Session(context, states)
    return compiled.generate(session, key, views.cameras, views.time_s)[0]

  return generate


def run(
  memories: Mapping[str, Memory],
  source: str = 'rooms',
  *,
  layers: Mapping[str, nn.Module] | None = None,
  compiled: Mapping[str, CompiledModel] | None = None,
  ours: str = OURS,
  size: tuple[int, int] | None = None,
  repeats: int = 31,
  last: int = LAST,
  seed: int = 0,
) -> tuple[dict[str, Figures], dict[str, list[int]]]:
  """Bytes and times of each memory over a long stream of written chunks.

  Args:
    memories: by name.
    source: of the chunks.
    layers: what those memories that learn have learned, bound, by name.
    compiled: the models that remember by them, or by none, by the same names.
    ours: the name that the others are compared with.
    size: height and width of frames; None for the source's own.
    repeats: measurements of each time.
    last: chunks written.
    seed: of the chunks and the intervals.

  Returns:
    `{name: {metric: interval}}` (a time's `mean` is its median), and the bytes
    after every chunk by name.
  """
  layers, compiled = layers or {}, compiled or {}
  walks = writing.open_walks(source, FRAMES, 16, seed, size)
  chunks = [chunk for walk in walks for chunk in walk]
  names = list(dict.fromkeys([*memories, *compiled]))
  progress = Progress('cost', len(names) + len(TIMES))
  aged = {}
  for name in names:
    aged[name] = make_aged(
      chunks, last, memories.get(name), layers.get(name), compiled.get(name)
    )
    progress.advance()
  table = {name: of_bytes(each.sizes) for name, each in aged.items()}
  for what in TIMES:
    calls = {
      (name, age): call
      for name, each in aged.items()
      for (kind, age), call in each.calls.items()
      if kind == what
    }
    times = alternated_ms(calls, repeats)
    for name in names:
      own = {age: x for (whose, age), x in times.items() if whose == name}
      table[name] |= score(own, what, seed)
    progress.advance()
  for name in [name for name in names if name != ours and ours in table]:
    table[name] |= against(table[name], table[ours])
    if aged[name].sizes and aged[ours].sizes:
      dearer = dearer_from(aged[name].sizes, aged[ours].sizes)
      table[name]['dearer_in_bytes_from_chunk'] = dearer
  return table, {name: x.sizes for name, x in aged.items() if x.sizes}


def of_bytes(sizes: Sequence[int]) -> Figures:
  """The last of the bytes, and by how much they grew."""
  if not sizes:
    return {}
  return {
    'bytes': statistics.single(sizes[-1], len(sizes)),
    'bytes_growth': statistics.single(max(sizes) - min(sizes), len(sizes)),
  }


def against(table: Figures, ours: Figures) -> Figures:
  """From which chunk on a memory is slower than ours."""
  return {
    f'slower_to_{what}_from_chunk': slower_from(table, ours, what)
    for what in TIMES
    if len(curve(table, what)[0]) and len(curve(ours, what)[0])
  }


def dearer_from(
  sizes: Sequence[int], ours: Sequence[int]
) -> statistics.Interval:
  """The chunk from which on a memory keeps more bytes; no value if never."""
  more = np.asarray(sizes) > np.asarray(ours)
  return _from_chunk(range(len(more)), more)


def slower_from(
  table: Figures, ours: Figures, what: str = 'read'
) -> statistics.Interval:
  """Of the timed chunks, the first from which on `what` takes longer."""
  names = [f'{what}_ms@chunk={age}' for age in TIMED]
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


def curve(table: Figures, what: str) -> tuple[np.ndarray, np.ndarray]:
  """The timed chunks and the milliseconds of `what` after each."""
  ages = [age for age in TIMED if f'{what}_ms@chunk={age}' in table]
  times = [table[f'{what}_ms@chunk={age}']['mean'] for age in ages]
  return np.array(ages), np.array(times)


def evaluate(
  setting: Setting, entrants: Mapping[str, Entrant], folder: pathlib.Path
) -> Table:
  """Measures bytes and milliseconds against the number of chunks."""
  memories, layers = dict(MEMORIES), {}
  for name, x in entrants.items():
    if x.model.memory is not None:
      memories[name] = x.model.memory
    if x.memory_layers is not None:
      layers[name] = x.memory_layers
  table, sizes = run(
    memories,
    setting.source,
    layers=layers,
    compiled={name: x.player.compiled for name, x in entrants.items()},
    ours=OURS if OURS in entrants else next(iter(entrants), OURS),
    size=next((x.size for x in entrants.values()), None),
    seed=setting.seed,
  )
  lines = {
    name: (np.arange(len(each)), np.array(each) / 2**20)
    for name, each in sizes.items()
  }
  tables.plot_curve(
    folder / 'plots/cost.png', Curve('MiB', 'chunks written', lines)
  )
  for what in TIMES:
    times = {name: curve(found, what) for name, found in table.items()}
    lines = {name: x for name, x in times.items() if len(x[0])}
    shown = Curve(f'ms to {what}', 'chunks written', lines)
    tables.plot_curve(folder / f'plots/cost_{what}.png', shown)
  return table


SUITE = Suite(
  name='cost',
  question='What do bytes and times do as the video grows?',
  note=(
    'After so many chunks of 4 frames: milliseconds to write a chunk, to read '
    'a view, and to `generate` a chunk (with its read), medians of calls in '
    'turns. `..._from_chunk`: from which one on it is dearer than '
    f'{OURS}, or else the first checkpoint; a dash is never.'
  ),
  main=('bytes', 'generate_ms@chunk=100'),
  run=evaluate,
)
