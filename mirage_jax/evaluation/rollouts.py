"""Closed-loop rollouts: observe some frames, then generate along the path.

The observed frames are written to the memory. Then, chunk by chunk, the model
takes its context (the frames just before) and the memory's readout, generates
the next frames, and these are written back as generated. Episodes run as one
batch.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np

from mirage_jax.arrays import Array, Key
from mirage_jax.geometry.clips import Clip, take_frames
from mirage_jax.memory.contract import Readout
from mirage_jax.models.codec import fill_masks
from mirage_jax.models.rollout import CompiledModel, Session
from mirage_jax.models.scenes import needs_future


@flax.struct.dataclass
class Rollout:
  """The output of a rollout, `[b, t, ...]` over the generated frames.

  Attributes:
    clip: the generated frames.
    readout: of the memory, before each frame was generated; None without a
      memory.
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
    compiled: the model with its sampler.
    writes_generated: whether generated frames enter the memory.
    memory: the state of one scene to go on from, if any; then all episodes
      are of that scene.
    progress: called with (chunks done, chunks) after each chunk.
  """

  compiled: CompiledModel
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
    action = clips.action
    clips = jax.tree.map(jnp.asarray, fill_masks(clips))
    seen = take_frames(clips, slice(observed), axis=1)
    written = clips if needs_future(self.compiled.model) else seen
    session = self._start(clips)
    session = self.compiled.observe(session, seen, written)
    starts = range(observed, frames, self.compiled.chunk_frames)
    parts = []
    for i, start in enumerate(starts):
      chunk = slice(start, start + self.compiled.chunk_frames)
      views = take_frames(clips, chunk, axis=1)
      made, readout, session = self.compiled.generate(
        session,
        jax.random.fold_in(key, i),
        views.cameras,
        views.time_s,
        None if action is None else action[:, chunk],
      )
      if self.writes_generated:
        session = self.compiled.write_generated(session, made)
      parts.append(jax.tree.map(np.asarray, (made, readout)))
      if self.progress is not None:
        self.progress(i + 1, len(starts))
    made, readout = jax.tree.map(lambda *x: np.concatenate(x, 1), *parts)
    return Rollout(made, readout, session.states)

  def _start(self, clips: Clip) -> Session:
    if self.memory is None:
      return self.compiled.start(clips.world_from_camera[:, 0])
    episodes = clips.time_s.shape[0]
    return Session(
      states=jax.tree.map(
        lambda x: jnp.broadcast_to(x, (episodes, *x.shape)), self.memory
      )
    )
