"""One world: its context, its memory and its visited cameras."""

import dataclasses
import os
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from mirage_jax.arrays import Array, Float
from mirage_jax.geometry.cameras import Cameras
from mirage_jax.geometry.clips import Clip
from mirage_jax.memory.contract import Readout
from mirage_jax.memory.regions import Erased, Region
from mirage_jax.models.codec import fill_masks
from mirage_jax.models.rollout import Session, step_sessions
from mirage_jax.models.scenes import merge_states
from mirage_jax.models.trained import TrainedModel
from mirage_jax.world import files
from mirage_jax.world.observed import Observed
from mirage_jax.world.points import make_points, write_ply
from mirage_jax.world.views import one_scene, several, take

VIEWS = 256  # cameras whose views make up the point cloud, at most
INTERVAL_S = 0.1  # between frames, where nothing else is known


class World:
  """One scene of a model: its context and its memory.

  It owns its memory; nothing else is needed to go on. The same calls with the
  same seed give the same frames.
  """

  def __init__(
    self,
    model: TrainedModel,
    seed: int = 0,
    steps: int | None = None,
    frame: Float[Array, '4 4'] | None = None,
  ) -> None:
    """Makes an empty world.

    Args:
      model: from `load_pretrained`; all worlds of one model share its
        compiled programs.
      seed: of the noise.
      steps: of the sampler for each chunk; those of the model if None.
      frame: pose that gives the memory its axes; the first observed camera if
        None. Worlds that are to be merged need the same.
    """
    self.model = model
    self.seed = seed
    self._compiled = model.compiled(steps)
    self._frame = frame
    self._session: Session | None = None
    self._chunks = 0  # generated so far
    self._visited: list[tuple[np.ndarray, np.ndarray]] = []
    self._last: Observed | None = None

  @property
  def states(self) -> Any:
    """State of the memory; None without a memory, or before any frame."""
    if self._session is None or self._session.states is None:
      return None
    return jax.tree.map(lambda x: x[0], self._session.states)

  def observe(self, clip: Clip) -> None:
    """Writes true frames `[t]` into the memory and continues from them.

    Args:
      clip: posed frames of the model's size. Pixels without depth are not
        remembered. The first camera of all gives the memory its axes.

    Raises:
      ValueError: frames of another size.
    """
    height, width = self.model.size
    if clip.depth_m.shape[-2:] != (height, width):
      found = ' x '.join(map(str, clip.depth_m.shape[-2:]))
      raise ValueError(
        f'frames of {found} pixels; the model takes {height} x {width}: '
        'crop and resize them'
      )
    clips = jax.tree.map(lambda x: jnp.asarray(x)[None], fill_masks(clip))
    before = self._session
    session = before
    if session is None:
      frame = clip.world_from_camera[0] if self._frame is None else self._frame
      session = self._compiled.start(jnp.asarray(frame)[None])
    self._last = Observed(clips, before, session.erasures, self._chunks)
    self._session = self._compiled.observe(session, clips)
    self._visit(clip.cameras)

  def undo(self) -> None:
    """Removes the frames of the last `observe` from the memory, exactly.

    Frames generated since stay. The context returns to the one before if
    nothing was generated since.

    Raises:
      ValueError: nothing to undo, a memory that cannot forget frames, or one
        in which something was erased or merged since.
    """
    last, session = self._last, self._session
    if last is None or session is None:
      raise ValueError('nothing to undo; only the last observation can be')
    if session.erasures != last.erasures:
      raise ValueError(
        'cannot undo: the memory erased since the observation; forget a region'
      )
    session = self._compiled.forget(session, last.clips)
    if self._chunks == last.chunks:
      context = None if last.before is None else last.before.context
      session = dataclasses.replace(session, context=context)
    self._session, self._last = session, None

  def merge(self, other: 'World') -> None:
    """Adds the memory of another world of the same model to this one.

    Raises:
      ValueError: nothing was observed in one of them, or their memories have
        different axes (give both the same `frame`).
    """
    session, _ = self._memory('merge')
    theirs, _ = other._memory('merge')
    states = merge_states(self.model.model, session.states, theirs.states)
    self._session = dataclasses.replace(session, states=states)
    self._visited += other._visited
    self._last = None

  def step(
    self,
    cameras: Cameras,
    remember: bool = True,
    action: Float[Array, '*t a'] | None = None,
  ) -> Clip:
    """Generates the frames that cameras see next.

    Args:
      cameras: one, or up to `model.chunk_frames` of them `[t]`. Each number of
        cameras is compiled once.
      remember: whether the frames enter the memory.
      action: of each camera, for a model with `model.action_features`.

    Returns:
      The frames `[t]`.

    Raises:
      ValueError: too many cameras; nothing was observed yet.
    """
    cameras = several(cameras)
    session, key, time_s = self._before_step(len(cameras.intrinsics))
    made, after = step_sessions(
      self._compiled,
      [session],
      [key],
      [cameras],
      [time_s],
      remember,
      None if action is None else [jnp.atleast_2d(action)],
    )
    self._after_step(after[0], cameras)
    return made[0]

  def walk(self, cameras: Cameras, remember: bool = True) -> Iterator[Clip]:
    """Generates along cameras `[t]` of any number; yields frame by frame."""
    target = self.model.chunk_frames
    for start in range(0, len(cameras.intrinsics), target):
      some = take(cameras, slice(start, start + target))
      made = self.step(some, remember)
      for i in range(len(made.time_s)):
        yield take(made, i)

  def read(self, cameras: Cameras) -> Readout:
    """Reads the views of cameras `[t]` from the memory; generates nothing.

    Raises:
      ValueError: the model has no memory that renders, or nothing was observed
        yet.
    """
    session, _ = self._memory('read')
    readout = self._compiled.read(
      session, one_scene(several(cameras)), *self.model.size
    )
    return jax.tree.map(lambda x: np.asarray(x[0]), readout)

  def forget(self, region: Region) -> Erased:
    """Erases all that lies in a `Box` or `Sphere` from the memory.

    Args:
      region: in the axes of the first observed camera, metres.

    Returns:
      How many rows went, and how many of those held content from elsewhere.

    Raises:
      ValueError: a memory that cannot forget regions; an empty region.
    """
    session, memory = self._memory('forget')
    state, erased = memory.forget_region(self.states, region)
    states = jax.tree.map(lambda x: jnp.asarray(x)[None], state)
    self._session = dataclasses.replace(
      session, states=states, erasures=session.erasures + 1
    )
    return erased

  def points(self, confidence: float = 0.5) -> tuple[np.ndarray, np.ndarray]:
    """Makes a cloud of points of the memory.

    It unprojects readouts of the visited cameras, where they are confident.

    Args:
      confidence: least probability that a point is right.

    Returns:
      Positions `[p, 3]` float32 in the world's axes, metres, and colours
      `[p, 3]` uint8.
    """
    return make_points(self.read, self._visited, confidence)

  def export_points(
    self, path: str | os.PathLike, confidence: float = 0.5
  ) -> int:
    """Writes `points` as a PLY file and returns how many there are."""
    positions, colours = self.points(confidence)
    write_ply(path, positions, colours)
    return len(positions)

  def save(self, folder: str | os.PathLike) -> None:
    """Writes all that `load` needs to continue, without the model."""
    saved = files.Saved(
      self.seed, self._chunks, tuple(self._visited), self._session
    )
    files.write(folder, saved, self.model.model.memory)

  @classmethod
  def load(
    cls,
    folder: str | os.PathLike,
    model: TrainedModel,
    steps: int | None = None,
  ) -> 'World':
    """Loads a world that `save` wrote, to continue with the same model.

    Raises:
      FileNotFoundError: a file is missing.
      ValueError: damaged files, or a memory of another model.
    """
    saved = files.read(folder, model.model.memory)
    world = cls(model, saved.seed, steps)
    world._chunks = saved.chunks
    world._visited = list(saved.visited)
    world._session = saved.session
    return world

  def _before_step(self, count: int) -> tuple[Session, Array, np.ndarray]:
    """Gives session, key, and times of `count` frames at the last interval."""
    if self._session is None or self._session.context is None:
      raise ValueError('the world is empty; observe a posed frame first')
    times = np.asarray(self._session.context.time_s[0])
    apart = float(times[-1] - times[-2]) if len(times) > 1 else 0.0
    ahead = 1 + np.arange(count)
    time_s = times[-1] + ahead * (apart if apart > 0 else INTERVAL_S)
    key = jax.random.fold_in(jax.random.key(self.seed), self._chunks)
    return self._session, key, time_s

  def _after_step(self, session: Session, cameras: Cameras) -> None:
    """Takes the session after a step along `cameras`."""
    self._session = session
    self._chunks += 1
    self._visit(cameras)

  def _memory(self, what: str) -> tuple[Session, Any]:
    """Gives the session and the memory, which `what` needs."""
    memory: Any = self.model.model.memory
    if memory is None or not memory.renders:
      raise ValueError(f'cannot {what}: the model has no spatial memory')
    if self._session is None:
      raise ValueError(f'cannot {what}: nothing was observed yet')
    return self._session, memory

  def _visit(self, cameras: Cameras) -> None:
    """Appends visited cameras; of too many it keeps every other one."""
    poses = np.asarray(cameras.world_from_camera)
    pairs = zip(np.asarray(cameras.intrinsics), poses, strict=True)
    self._visited.extend(pairs)
    while len(self._visited) > VIEWS:
      self._visited = self._visited[::2]
