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
from mirage_jax.geometry.clips import Clip, join_frames, take_frames
from mirage_jax.memory.contract import Readout
from mirage_jax.models.generate import generate_chunk
from mirage_jax.models.mirage import (
  Mirage,
  init_states,
  make_room,
  write_frames,
)
from mirage_jax.models.video import fill_masks

WRITTEN_AT_ONCE = 16  # observed frames


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


def window_of(clip: Clip, context: int) -> Clip:
  """The last `context` frames of `[b, t]`; the first is repeated if too few."""
  frames = clip.time_s.shape[1]
  index = np.clip(np.arange(frames - context, frames), 0, None)
  return fill_masks(take_frames(clip, index, axis=1))


def pad_frames(clip: Clip, multiple: int, observed: int) -> Clip:
  """Repeats the last frame until the frames after `observed` fill chunks."""
  frames = clip.time_s.shape[1]
  total = observed + -(-(frames - observed) // multiple) * multiple
  index = np.minimum(np.arange(total), frames - 1)
  return take_frames(clip, index, axis=1)


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
    states = self._first_states(clips)
    memory = self.model.memory
    told = frames if memory is not None and memory.foresees else observed
    for start in range(0, told, WRITTEN_AT_ONCE):
      stop = min(start + WRITTEN_AT_ONCE, told)
      some = take_frames(clips, slice(start, stop), axis=1)
      states = self._make_room(states, some)
      states = self._write(self.params, states, some)
    window = window_of(given, self.context)
    padded = pad_frames(clips, self.target, observed)
    starts = range(observed, padded.time_s.shape[1], self.target)
    parts = []
    for i, start in enumerate(starts):
      views = take_frames(padded, slice(start, start + self.target), axis=1)
      made, window, readout = self._generate(
        self.params, jax.random.fold_in(key, i), window, views, states
      )
      if self.writes_generated:
        states = self._make_room(states, made)
        states = self._write_generated(self.params, states, made)
      parts.append(jax.tree.map(np.asarray, (made, readout)))
      if self.progress is not None:
        self.progress(i + 1, len(starts))
    made, readout = jax.tree.map(
      lambda *x: np.concatenate(x, 1)[:, : frames - observed], *parts
    )
    return Rollout(made, readout, states)

  def _first_states(self, clips: Clip) -> Any:
    if self.memory is None:
      return init_states(self.model, clips.world_from_camera[:, 0])
    episodes = clips.time_s.shape[0]
    return jax.tree.map(
      lambda x: jnp.broadcast_to(x, (episodes, *x.shape)), self.memory
    )

  def _make_room(self, states: Any, clips: Clip) -> Any:
    return make_room(self.model, states, clips.depth_m[0].size)

  @functools.cached_property
  def _write(self):
    return jax.jit(functools.partial(write_frames, self.model, generated=False))

  @functools.cached_property
  def _write_generated(self):
    write = functools.partial(write_frames, self.model, generated=True)
    return jax.jit(write, donate_argnums=1)

  @functools.cached_property
  def _generate(self):
    @jax.jit
    def generate(params, key, window, views, states):
      frames, readout = generate_chunk(
        self.model, params, key, window, views.cameras, states, self.sampler
      )
      clip = frames.to_clip(views.cameras, views.time_s)
      if readout is not None:
        readout = dataclasses.replace(readout, recalled=None)
      window = window_of(join_frames(window, clip), self.context)
      return clip, window, readout

    return generate
