"""Closed-loop rollouts: watch some frames, then generate along the path.

The observed frames are written to the memory. Then, chunk by chunk, the model
sees its window (the frames just before) and what the memory shows, generates
the next frames, and these are written back as generated. Episodes run as one
batch; every step is compiled once.
"""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np

from mirage_jax.arrays import Array, Key
from mirage_jax.flow import Sampler
from mirage_jax.geometry.clips import Clip, take_frames
from mirage_jax.memory.contract import Readout
from mirage_jax.models.codec import fill_masks
from mirage_jax.models.rollout import Session, Stream
from mirage_jax.models.world_model import Mirage


@flax.struct.dataclass
class Rollout:
  """What a rollout produced; all `[b, t, ...]` over the generated frames.

  Attributes:
    clip: the generated frames.
    readout: what the memory showed of each before it was generated; None
      without a memory.
    states: the memories at the end; None without.
  """

  clip: Clip
  readout: Readout | None = None
  states: Any = None


# (clips [b, s], number observed, key) -> the frames after the observed ones.
Player = Callable[[Clip, int, Key[Array, '']], Rollout]


def check_observed(frames: int, observed: int) -> None:
  """Raises ValueError unless some frames are observed and some are left."""
  if not 1 <= observed < frames:
    raise ValueError(
      f'observed={observed} of clips of {frames} frames; expected 1 to '
      f'{frames - 1}'
    )


@dataclasses.dataclass(frozen=True, eq=False)
class ModelPlayer:
  """A model as a player of closed-loop episodes.

  Attributes:
    model: with or without memory.
    params: its variables.
    sampler: of each chunk.
    context: frames of the window.
    target: frames generated at once.
    writes_generated: whether what was generated enters the memory.
    memory: the state of one scene to go on from, if any; then all episodes
      are of that scene.
    progress: called with (chunks done, chunks) after each chunk.
  """

  model: Mirage
  params: Any
  sampler: Sampler
  context: int
  target: int
  writes_generated: bool = True
  memory: Any = None
  progress: Callable[[int, int], None] | None = None

  def __call__(
    self, clips: Clip, observed: int, key: Key[Array, '']
  ) -> Rollout:
    """Plays the episodes `[b, s]`.

    Raises:
      ValueError: when nothing is observed, or nothing is left to generate.
    """
    frames = clips.time_s.shape[1]
    check_observed(frames, observed)
    clips = jax.tree.map(jnp.asarray, fill_masks(clips))
    given = take_frames(clips, slice(observed), axis=1)
    memory = self.model.memory
    foresees = memory is not None and memory.needs_future
    session = self._start(clips)
    session = self.stream.write(session, clips if foresees else given)
    session = self.stream.watch(session, given)
    starts = range(observed, frames, self.target)
    parts = []
    for i, start in enumerate(starts):
      views = take_frames(clips, slice(start, start + self.target), axis=1)
      made, readout, session = self.stream.generate(
        session, jax.random.fold_in(key, i), views.cameras, views.time_s
      )
      if self.writes_generated:
        session = self.stream.remember(session, made)
      parts.append(jax.tree.map(np.asarray, (made, readout)))
      if self.progress is not None:
        self.progress(i + 1, len(starts))
    made, readout = jax.tree.map(lambda *x: np.concatenate(x, 1), *parts)
    return Rollout(made, readout, session.states)

  def _start(self, clips: Clip) -> Session:
    if self.memory is None:
      return self.stream.start(clips.world_from_camera[:, 0])
    episodes = clips.time_s.shape[0]
    return Session(
      states=jax.tree.map(
        lambda x: jnp.broadcast_to(x, (episodes, *x.shape)), self.memory
      )
    )

  @functools.cached_property
  def stream(self) -> Stream:
    """What generates."""
    return Stream(
      self.model, self.params, self.sampler, self.context, self.target
    )
