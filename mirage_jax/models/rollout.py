"""Rollouts: observed frames are written, then chunks generated and written.

`CompiledModel` holds the programs of a model, compiled once; all sessions of
the model share it. Scenes go together as a batch.
"""

import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np

from mirage_jax.arrays import Array, Float, Key
from mirage_jax.flow import Sampler
from mirage_jax.geometry.cameras import Cameras
from mirage_jax.geometry.clips import Clip, join_frames, take_frames
from mirage_jax.memory.contract import Readout
from mirage_jax.models.codec import fill_masks
from mirage_jax.models.sampling import generate_chunk
from mirage_jax.models.scenes import (
  forget_frames,
  init_states,
  read_views,
  reserve,
  split_states,
  stack_states,
  write_frames,
)
from mirage_jax.models.world_model import WorldModel

WRITTEN_AT_ONCE = 16  # observed frames; bounds the memory of one write


@flax.struct.dataclass
class Session:
  """The context and the memories of b scenes.

  Attributes:
    context: the last frames `[b, c]`, true or generated; None before any.
    states: the memories; None for a model without.
    erasures: how often room was made in the memories by erasing.
  """

  context: Clip | None = None
  states: Any = None
  erasures: int = flax.struct.field(pytree_node=False, default=0)


def last_frames(clip: Clip, count: int) -> Clip:
  """Takes the last frames of `[b, t]`; repeats the first if too few."""
  frames = clip.time_s.shape[1]
  index = np.clip(np.arange(frames - count, frames), 0, None)
  return fill_masks(take_frames(clip, index, axis=1))


def extend_context(session: Session, clip: Clip, count: int) -> Session:
  """Appends frames `[b, t]` to the context and keeps the last `count`."""
  clip = fill_masks(clip)
  if session.context is not None:
    clip = join_frames(session.context, clip)
  return dataclasses.replace(session, context=last_frames(clip, count))


def generate(
  model: WorldModel,
  sampler: Sampler,
  params: Any,
  key: Key[Array, '*b'],
  context: Clip,
  states: Any,
  cameras: Cameras,
  time_s: Float[Array, 'b t'],
  action: Float[Array, 'b t a'] | None = None,
) -> tuple[Clip, Readout | None, Clip]:
  """Generates the next frames `[b, t]`; the memories do not hold them yet.

  Args:
    model: the world model.
    sampler: of the chunk.
    params: variables of the model.
    key: of the noise: one for all scenes, or `[b]`, one for each.
    context: frames `[b, c]` before these.
    states: memories of the b scenes, or None.
    cameras: `[b, t]` of the frames.
    time_s: of the frames.
    action: of the frames, if any.

  Returns:
    The frames, the readout of their views, and the context of the next ones.
  """
  frames, readout = generate_chunk(
    model, params, key, context, cameras, states, sampler, action
  )
  made = frames.to_clip(cameras, time_s)
  if readout is not None:
    readout = dataclasses.replace(readout, retrieved=None)
  count = context.time_s.shape[1]
  return made, readout, last_frames(join_frames(context, made), count)


def join_sessions(model: WorldModel, sessions: Sequence[Session]) -> Session:
  """Joins sessions of one scene each to one batch."""
  if len(sessions) == 1:
    return sessions[0]
  contexts = [session.context for session in sessions]
  context = jax.tree.map(lambda *x: jnp.concatenate(x), *contexts)
  states = None
  if sessions[0].states is not None:
    each = [split_states(session.states)[0] for session in sessions]
    states = stack_states(model, each)
  erasures = max(session.erasures for session in sessions)
  return Session(context, states, erasures)


def split_session(session: Session) -> list[Session]:
  """Splits a batch into sessions of one scene each."""
  assert session.context is not None
  count = session.context.time_s.shape[0]
  if count == 1:
    return [session]
  return [
    jax.tree.map(lambda x, i=i: x[i : i + 1], session) for i in range(count)
  ]


@dataclasses.dataclass(frozen=True, eq=False)
class CompiledModel:
  """A model with a sampler, whose programs are compiled once and shared.

  Attributes:
    model: with or without memory.
    params: its variables.
    sampler: of each chunk.
    context_frames: frames before a chunk that the generator takes.
    chunk_frames: frames generated at once, at most.
  """

  model: WorldModel
  params: Any
  sampler: Sampler
  context_frames: int
  chunk_frames: int

  def start(self, frame: Float[Array, 'b 4 4']) -> Session:
    """Starts scenes with empty memories, whose axes are `frame`."""
    return Session(states=init_states(self.model, frame))

  def observe(
    self, session: Session, clip: Clip, written: Clip | None = None
  ) -> Session:
    """Writes true frames `[b, t]`, which extend the context.

    Args:
      session: of the scenes.
      clip: the frames.
      written: frames to write instead, for a memory that needs the future.
    """
    for some in _pieces(clip if written is None else written):
      session = self._reserve(session, some)
      states = self._write(self.params, session.states, some)
      session = dataclasses.replace(session, states=states)
    return extend_context(session, clip, self.context_frames)

  def generate(
    self,
    session: Session,
    key: Key[Array, '*b'],
    cameras: Cameras,
    time_s: Float[Array, 'b t'],
    action: Float[Array, 'b t a'] | None = None,
  ) -> tuple[Clip, Readout | None, Session]:
    """Generates the next frames, at most a chunk; see `generate`.

    Each number of frames is compiled for itself.

    Raises:
      ValueError: too many cameras, or no context yet.
    """
    count = time_s.shape[1]
    if session.context is None:
      raise ValueError('nothing was seen yet; observe a posed frame first')
    if not 1 <= count <= self.chunk_frames:
      raise ValueError(
        f'{count} cameras at once; expected 1 to {self.chunk_frames}'
      )
    made, readout, context = self._generate(
      self.params,
      key,
      session.context,
      session.states,
      cameras,
      time_s,
      action,
    )
    return made, readout, dataclasses.replace(session, context=context)

  def write_generated(self, session: Session, made: Clip) -> Session:
    """Writes generated frames `[b, t]`; the states passed in are used up."""
    session = self._reserve(session, made)
    states = self._write_generated(self.params, session.states, made)
    return dataclasses.replace(session, states=states)

  def forget(self, session: Session, clip: Clip) -> Session:
    """Removes true frames `[b, t]` from the memories, as `observe` wrote them.

    Exact only if nothing was erased since.

    Raises:
      ValueError: by a memory that cannot forget frames.
    """
    states = session.states
    for some in _pieces(clip):
      states = self._forget(self.params, states, some)
    return dataclasses.replace(session, states=states)

  def read(
    self, session: Session, cameras: Cameras, height: int, width: int
  ) -> Readout | None:
    """Reads views `[b, t]` from the memories; None without one."""
    return self._read(self.params, session.states, cameras, height, width)

  def _reserve(self, session: Session, clip: Clip) -> Session:
    """Makes room in the memories for frames, and counts erasures."""
    before = session.states
    states = reserve(self.model, before, clip.depth_m[0].size)
    memory = self.model.memory
    erased = states is not before and not (memory and memory.grows)
    return dataclasses.replace(
      session, states=states, erasures=session.erasures + erased
    )

  @functools.cached_property
  def _write(self) -> Callable[..., Any]:
    return jax.jit(functools.partial(write_frames, self.model, generated=False))

  @functools.cached_property
  def _write_generated(self) -> Callable[..., Any]:
    function = functools.partial(write_frames, self.model, generated=True)
    return jax.jit(function, donate_argnums=1)

  @functools.cached_property
  def _forget(self) -> Callable[..., Any]:
    return jax.jit(functools.partial(forget_frames, self.model))

  @functools.cached_property
  def _read(self) -> Callable[..., Readout | None]:
    read = functools.partial(read_views, self.model)
    return jax.jit(read, static_argnums=(3, 4))

  @functools.cached_property
  def _generate(self) -> Callable[..., tuple[Clip, Readout | None, Clip]]:
    return jax.jit(functools.partial(generate, self.model, self.sampler))


def step_sessions(
  compiled: CompiledModel,
  sessions: Sequence[Session],
  keys: Sequence[Key[Array, '']],
  cameras: Sequence[Cameras],
  times: Sequence[np.ndarray],
  remember: bool,
  actions: Sequence[Array] | None = None,
) -> tuple[list[Clip], list[Session]]:
  """Generates the next frames of sessions of one scene each, as one batch.

  Args:
    compiled: the model.
    sessions: with a context.
    keys: of the noise of each.
    cameras: `[t]` of each, the same number.
    times: `[t]` of each, seconds.
    remember: whether the frames enter the memories.
    actions: `[t, a]` of each, if any.

  Returns:
    The frames `[t]` and the session after of each.
  """
  made, _, session = compiled.generate(
    join_sessions(compiled.model, sessions),
    jnp.stack(keys),
    jax.tree.map(lambda *x: jnp.stack(x).astype(jnp.float32), *cameras),
    jnp.asarray(np.stack(times), jnp.float32),
    None if actions is None else jnp.stack(actions),
  )
  if remember:
    session = compiled.write_generated(session, made)
  made = jax.tree.map(np.asarray, made)
  clips = [take_frames(made, i) for i in range(len(sessions))]
  return clips, split_session(session)


def _pieces(clip: Clip) -> list[Clip]:
  """Cuts frames `[b, t]` into pieces that are written at once."""
  starts = range(0, clip.time_s.shape[1], WRITTEN_AT_ONCE)
  cuts = [slice(start, start + WRITTEN_AT_ONCE) for start in starts]
  return [take_frames(clip, cut, axis=1) for cut in cuts]
