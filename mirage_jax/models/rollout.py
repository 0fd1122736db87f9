"""Watching and generating a chunk at a time, with all programs compiled once.

What has been seen and made so far is a `Session`; `Stream` takes one and gives
the next. Scenes go together as a batch.
"""

import dataclasses
import functools
from typing import Any

import flax.struct
import jax
import numpy as np

from mirage_jax.arrays import Array, Float, Key
from mirage_jax.flow import Sampler
from mirage_jax.geometry.cameras import Cameras
from mirage_jax.geometry.clips import Clip, join_frames, take_frames
from mirage_jax.memory.contract import Readout
from mirage_jax.models.codec import fill_masks
from mirage_jax.models.sampling import generate_chunk
from mirage_jax.models.world_model import (
  Mirage,
  init_states,
  make_room,
  read_views,
  write_frames,
)

WRITTEN_AT_ONCE = 16  # observed frames


@flax.struct.dataclass
class Session:
  """What b scenes have come to.

  Attributes:
    window: the last frames `[b, c]` that were seen or made; None before any.
    states: the memories; None for a model without.
  """

  window: Clip | None = None
  states: Any = None


def window_of(clip: Clip, context: int) -> Clip:
  """The last `context` frames of `[b, t]`; the first is repeated if too few."""
  frames = clip.time_s.shape[1]
  index = np.clip(np.arange(frames - context, frames), 0, None)
  return fill_masks(take_frames(clip, index, axis=1))


@dataclasses.dataclass(frozen=True, eq=False)
class Stream:
  """A model that watches and generates.

  Attributes:
    model: with or without memory.
    params: its variables.
    sampler: of each chunk.
    context: frames of the window.
    target: frames generated at once.
  """

  model: Mirage
  params: Any
  sampler: Sampler
  context: int
  target: int

  def start(self, frame: Float[Array, 'b 4 4']) -> Session:
    """Scenes of which nothing is known; `frame` gives their memories' axes."""
    return Session(states=init_states(self.model, frame))

  def write(self, session: Session, clip: Clip) -> Session:
    """The session with the true frames `[b, t]` in its memories."""
    states = session.states
    for start in range(0, clip.time_s.shape[1], WRITTEN_AT_ONCE):
      some = take_frames(clip, slice(start, start + WRITTEN_AT_ONCE), axis=1)
      states = self._make_room(states, some)
      states = self._write(self.params, states, some)
    return dataclasses.replace(session, states=states)

  def watch(self, session: Session, clip: Clip) -> Session:
    """The session after the true frames `[b, t]`, which become its window."""
    seen = fill_masks(clip)
    if session.window is not None:
      seen = join_frames(session.window, seen)
    return dataclasses.replace(session, window=window_of(seen, self.context))

  def generate(
    self,
    session: Session,
    key: Key[Array, ''],
    cameras: Cameras,
    time_s: Float[Array, 'b t'],
  ) -> tuple[Clip, Readout | None, Session]:
    """The next frames, along `cameras` `[b, t]`: at most `target` of them.

    Args:
      session: has a window.
      key: of the noise.
      cameras: of the frames. Fewer than `target` take as long.
      time_s: of the frames.

    Returns:
      The frames, what the memories showed of them, and the session after;
      `remember` them if they are to be seen again.

    Raises:
      ValueError: too many cameras, or no window yet.
    """
    count, before = time_s.shape[1], session.window
    if before is None:
      raise ValueError('nothing was seen yet; watch a posed frame first')
    if not 1 <= count <= self.target:
      raise ValueError(f'{count} cameras at once; expected 1 to {self.target}')
    index = np.minimum(np.arange(self.target), count - 1)
    cameras, time_s = jax.tree.map(lambda x: x[:, index], (cameras, time_s))
    made, window, readout = self._generate(
      self.params, key, before, cameras, time_s, session.states
    )
    if count < self.target:
      made, readout = jax.tree.map(lambda x: x[:, :count], (made, readout))
      window = window_of(join_frames(before, made), self.context)
    return made, readout, Session(window, session.states)

  def remember(self, session: Session, made: Clip) -> Session:
    """The session with generated frames `[b, t]` in its memories."""
    states = self._make_room(session.states, made)
    states = self._write_generated(self.params, states, made)
    return dataclasses.replace(session, states=states)

  def look(
    self, session: Session, cameras: Cameras, height: int, width: int
  ) -> Readout | None:
    """What the memories show to `cameras` `[b, t]`; None without one."""
    return self._read(self.params, session.states, cameras, height, width)

  def _make_room(self, states: Any, clip: Clip) -> Any:
    return make_room(self.model, states, clip.depth_m[0].size)

  @functools.cached_property
  def _write(self):
    return jax.jit(functools.partial(write_frames, self.model, generated=False))

  @functools.cached_property
  def _write_generated(self):
    write = functools.partial(write_frames, self.model, generated=True)
    return jax.jit(write, donate_argnums=1)

  @functools.cached_property
  def _read(self):
    read = functools.partial(read_views, self.model)
    return jax.jit(read, static_argnums=(3, 4))

  @functools.cached_property
  def _generate(self):
    @jax.jit
    def generate(params, key, window, cameras, time_s, states):
      frames, readout = generate_chunk(
        self.model, params, key, window, cameras, states, self.sampler
      )
      clip = frames.to_clip(cameras, time_s)
      if readout is not None:
        readout = dataclasses.replace(readout, retrieved=None)
      window = window_of(join_frames(window, clip), self.context)
      return clip, window, readout

    return generate
