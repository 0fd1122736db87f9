"""The one input pipeline: from a source of clips to batches of episodes.

Example i of the endless stream is a pure function of (source, seed, i). Of each
batch, process p of P takes the p-th of P equal parts: put in a row, the parts
are the same batch whatever P is. Iterators are Grain's, and go into an Orbax
checkpoint as they are.
"""

import dataclasses
from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import grain
import jax
import numpy as np

from mirage_jax.data.episodes import (
  GRID,
  Episode,
  cut_episode,
  plan_episode,
  visibility,
)
from mirage_jax.geometry.clips import Clip

EPOCHS = 2**32  # for ever; the length of a stream must fit a word
MAX_CACHED = 1 << 16  # clips whose overlaps are kept, some 8 KiB each


@runtime_checkable
class Source(Protocol):
  """Clips by index, all of one shape."""

  def __len__(self) -> int:
    """Number of clips."""
    ...

  def __getitem__(self, index: int) -> Clip:
    """Clip `index`, NumPy arrays."""
    ...


def make_pipeline(
  source: Source,
  *,
  batch_size: int,
  history: int,
  context: int,
  target: int,
  revisit_fraction: float = 0.5,
  seed: int = 0,
  process_index: int = 0,
  process_count: int = 1,
  threads: int = 1,
  prefetch: int = 2,
  workers: int = 0,
) -> grain.IterDataset[Episode]:
  """Endless, shuffled batches of episodes; deterministic from the seed.

  Args:
    source: clips by index, at least one.
    batch_size: episodes a batch, over all processes.
    history, context, target: frames of each part of an episode.
    revisit_fraction: share of episodes that look for a revisit.
    seed: of the shuffle and of every draw.
    process_index, process_count: this process and how many there are.
    threads, prefetch: threads that make batches ahead, and how many.
    workers: processes beside this one; 0 for sources that live in its memory.

  Returns:
    A Grain dataset; each element an `Episode` `[batch_size / process_count,
    ...]` of NumPy arrays.

  Raises:
    ValueError: an empty source, or a batch that processes cannot share.
  """
  _check_share(batch_size, process_index, process_count)
  examples = Examples(source, seed, history, context, target, revisit_fraction)
  part = Part(examples, batch_size, process_index, process_count)
  dataset = (
    grain.MapDataset.range(len(source))
    .repeat(EPOCHS)
    .map_with_index(part.at)
    .batch(batch_size // process_count, batch_fn=_stack)
    .to_iter_dataset(grain.ReadOptions(threads, prefetch))
  )
  if workers:
    options = grain.MultiprocessingOptions(num_workers=workers)
    dataset = dataset.mp_prefetch(options)
  return dataset


@dataclasses.dataclass(frozen=True)
class Examples:
  """The endless stream of episodes, by position.

  Attributes:
    source: clips by index.
    seed: of the order of clips in each epoch and of every draw.
    history, context, target: frames of each part of an episode.
    revisit_fraction: share of episodes that look for a revisit.
  """

  source: Source
  seed: int
  history: int
  context: int
  target: int
  revisit_fraction: float
  _packed: dict[int, np.ndarray] = dataclasses.field(
    default_factory=dict, repr=False
  )
  _orders: dict[int, np.ndarray] = dataclasses.field(
    default_factory=dict, repr=False
  )

  def __post_init__(self):
    sizes = (self.history, self.context, self.target)
    if self.history < 0 or self.context < 1 or self.target < 1:
      raise ValueError(
        f'history, context, target are {sizes[0]}, {sizes[1]}, {sizes[2]}; '
        'expected a history of 0 or more frames and at least 1 of the others'
      )
    if not 0 <= self.revisit_fraction <= 1:
      raise ValueError(
        f'revisit_fraction {self.revisit_fraction} is no share; expected 0 to 1'
      )
    if not len(self.source):
      raise ValueError('the source has no clips; expected at least one')

  def at(self, position: int, _=None) -> Episode:
    """Example `position` of the stream."""
    epoch, place = divmod(position, len(self.source))
    return self.example(int(self._order(epoch)[place]), epoch)

  def example(self, index: int, epoch: int) -> Episode:
    """The episode that clip `index` gives in `epoch`: what `key` names."""
    clip = self.source[index]
    plan = plan_episode(
      np.random.default_rng([self.seed, index, epoch]),
      self._visibility(index, clip),
      history=self.history,
      context=self.context,
      target=self.target,
      revisit_fraction=self.revisit_fraction,
    )
    return cut_episode(clip, plan, np.array([index, epoch]))

  def _order(self, epoch: int) -> np.ndarray:
    if epoch not in self._orders:
      for old in [e for e in list(self._orders) if abs(e - epoch) > 1]:
        self._orders.pop(old, None)
      rng = np.random.default_rng([self.seed, epoch, 0, 1])
      self._orders[epoch] = rng.permutation(len(self.source))
    return self._orders[epoch]

  def _visibility(self, index: int, clip: Clip) -> np.ndarray:
    t, n = len(clip.time_s), GRID**2
    if index in self._packed:
      bits = np.unpackbits(self._packed[index], count=t * n * t)
      return bits.view(bool).reshape(t, n, t)
    seen = visibility(clip)
    if len(self._packed) < MAX_CACHED:
      self._packed[index] = np.packbits(seen)
    return seen


@dataclasses.dataclass(frozen=True)
class Part:
  """The examples of one process.

  Attributes:
    examples: of all processes.
    batch_size: the same.
    index, count: this process and how many there are.
  """

  examples: Examples
  batch_size: int
  index: int
  count: int

  def at(self, position: int, _=None) -> Episode:
    """Example `position` of this process."""
    batch, place = divmod(position, self.batch_size // self.count)
    first = batch * self.batch_size + self.index * self.batch_size // self.count
    return self.examples.at(first + place)


def _check_share(batch_size: int, index: int, count: int) -> None:
  if batch_size < 1 or batch_size % count:
    raise ValueError(
      f'batch_size {batch_size} cannot be shared by {count} processes; '
      'expected a multiple'
    )
  if not 0 <= index < count:
    raise ValueError(
      f'process_index {index} of {count} processes; expected 0 to {count - 1}'
    )


def _stack(episodes: Sequence[Episode]) -> Episode:
  return jax.tree.map(lambda *leaves: np.stack(leaves), *episodes)
