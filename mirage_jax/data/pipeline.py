"""The one input pipeline: from a source of clips to batches of episodes.

Example i of the endless stream is a pure function of (source, seed, i). Process
p of P takes the examples p, p + P, p + 2P, ...: batch k of all processes
together holds the same examples whatever P is. Iterators are Grain's, and go
into an Orbax checkpoint as they are.
"""

from collections.abc import Sequence

import grain
import jax
import numpy as np

from mirage_jax.data.episodes import (
  Episode,
  cut_episode,
  plan_episode,
  visibility,
)
from mirage_jax.geometry.clips import Clip


def make_pipeline(
  source: Sequence[Clip],
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
  if not len(source):
    raise ValueError('the source has no clips; expected at least one')
  if batch_size < 1 or batch_size % process_count:
    raise ValueError(
      f'batch_size {batch_size} cannot be shared by {process_count} processes; '
      'expected a multiple'
    )
  if not 0 <= process_index < process_count:
    raise ValueError(
      f'process_index {process_index} of {process_count} processes; expected '
      f'0 to {process_count - 1}'
    )
  count = len(source)

  def example(position: int, index: int) -> Episode:
    return make_example(
      source,
      index,
      position // count,
      seed=seed,
      history=history,
      context=context,
      target=target,
      revisit_fraction=revisit_fraction,
    )

  shuffle_seed = int(np.random.SeedSequence(seed).generate_state(1)[0])
  dataset = (
    grain.MapDataset.range(count)
    .shuffle(seed=shuffle_seed)
    .repeat()
    .map_with_index(example)
    .slice(slice(process_index, None, process_count))
    .batch(batch_size // process_count, batch_fn=_stack)
    .to_iter_dataset(grain.ReadOptions(threads, prefetch))
  )
  if workers:
    options = grain.MultiprocessingOptions(num_workers=workers)
    dataset = dataset.mp_prefetch(options)
  return dataset


def make_example(
  source: Sequence[Clip],
  index: int,
  epoch: int,
  *,
  seed: int,
  history: int,
  context: int,
  target: int,
  revisit_fraction: float,
) -> Episode:
  """The episode that clip `index` gives in `epoch`: what `key` names."""
  clip = source[index]
  rng = np.random.default_rng([seed, index, epoch])
  plan = plan_episode(
    rng,
    visibility(clip),
    history=history,
    context=context,
    target=target,
    revisit_fraction=revisit_fraction,
  )
  return cut_episode(clip, plan, np.array([index, epoch]))


def _stack(episodes: Sequence[Episode]) -> Episode:
  return jax.tree.map(lambda *leaves: np.stack(leaves), *episodes)
