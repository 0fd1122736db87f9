"""A place that is watched, walked through, remembered and saved.

model = mirage_jax.load_pretrained('mirage-s')
world = mirage_jax.World(model)
world.observe(clip)               # posed frames that are true
for frame in world.walk(cameras):
  ...                             # generated, and remembered
world.save('here')
"""

import dataclasses
import json
import os
import pathlib
import zipfile
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from mirage_jax import build
from mirage_jax.arrays import Array, Float
from mirage_jax.build import TrainedModel
from mirage_jax.geometry import cameras as pinhole
from mirage_jax.geometry.cameras import Cameras
from mirage_jax.geometry.clips import Clip
from mirage_jax.io import replaced, staged
from mirage_jax.memory import storage
from mirage_jax.memory.contract import Readout
from mirage_jax.memory.regions import Erased, Region
from mirage_jax.models.codec import decode_colour, fill_masks
from mirage_jax.models.rollout import Session, Stream

MEMORY, WINDOW, ABOUT = 'memory.safetensors', 'window.npz', 'world.json'
FORMAT, VERSION = 'mirage-world', 1
VIEWS = 256  # cameras whose views make up the point cloud, at most
READ_AT_ONCE = 4  # of these
INTERVAL_S = 0.1  # between frames, where nothing else is known


def load_pretrained(name: str | os.PathLike) -> TrainedModel:
  """A trained model: a shipped name, a released folder or a workdir.

  Raises:
    FileNotFoundError: there is no such model; it names those that ship.
    ValueError: it is damaged, or of another architecture.
  """
  return build.load(name)


class World:
  """One scene: what a model has seen, made and remembered of it.

  It owns its memory; nothing else is needed to go on. The same calls with the
  same seed give the same frames.
  """

  def __init__(
    self, model: TrainedModel, seed: int = 0, steps: int | None = None
  ) -> None:
    """A world of which nothing is known.

    Args:
      model: from `load_pretrained`.
      seed: of the noise.
      steps: of the sampler for each chunk; those of the model if None.
    """
    self.model = model
    self.seed = seed
    self._stream = Stream(
      model.model,
      jax.tree.map(jnp.asarray, model.params),
      build.make_sampler(model.settings, steps),
      model.context_frames,
      model.chunk_frames,
    )
    self._session: Session | None = None
    self._chunks = 0  # generated so far
    self._visited: list[tuple[np.ndarray, np.ndarray]] = []

  @property
  def states(self) -> Any:
    """The memory's state; None without a memory, or before any frame."""
    if self._session is None or self._session.states is None:
      return None
    return jax.tree.map(lambda x: x[0], self._session.states)

  def observe(self, clip: Clip) -> None:
    """Takes in true frames `[t]`: they are remembered, and go on from there.

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
    if self._session is None:
      self._session = self._stream.start(clips.world_from_camera[:, 0])
    self._session = self._stream.write(self._session, clips)
    self._session = self._stream.watch(self._session, clips)
    self._visit(clip.cameras)

  def step(self, cameras: Cameras, remember: bool = True) -> Clip:
    """Generates what cameras see next.

    Args:
      cameras: one, or up to `model.chunk_frames` of them `[t]`, which take
        no longer than one.
      remember: whether the frames enter the memory.

    Returns:
      The frames `[t]`.

    Raises:
      ValueError: too many cameras; nothing was observed yet.
    """
    if self._session is None or self._session.window is None:
      raise ValueError('the world is empty; observe a posed frame first')
    cameras = _several(cameras)
    times = np.asarray(self._session.window.time_s[0])
    apart = float(times[-1] - times[-2]) if len(times) > 1 else 0.0
    ahead = 1 + np.arange(len(cameras.intrinsics))
    time_s = times[-1] + ahead * (apart if apart > 0 else INTERVAL_S)
    key = jax.random.fold_in(jax.random.key(self.seed), self._chunks)
    made, _, session = self._stream.generate(
      self._session, key, _one_scene(cameras), jnp.float32(time_s)[None]
    )
    if remember:
      session = self._stream.remember(session, made)
    self._session = session
    self._chunks += 1
    self._visit(cameras)
    return jax.tree.map(lambda x: np.asarray(x[0]), made)

  def walk(self, cameras: Cameras, remember: bool = True) -> Iterator[Clip]:
    """Generates along cameras `[t]` of any number; yields frame by frame."""
    target = self.model.chunk_frames
    for start in range(0, len(cameras.intrinsics), target):
      some = _take(cameras, slice(start, start + target))
      made = self.step(some, remember)
      for i in range(len(made.time_s)):
        yield _take(made, i)

  def look(self, cameras: Cameras) -> Readout:
    """What the memory shows to cameras `[t]`, without generating anything.

    Raises:
      ValueError: the model has no memory that shows views, or nothing was
        observed yet.
    """
    session, _ = self._memory('look')
    readout = self._stream.look(
      session, _one_scene(_several(cameras)), *self.model.size
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
    if not hasattr(memory, 'forget_region'):
      raise ValueError(
        f'{type(memory).__name__} cannot forget a region; a view grid or a '
        'hash grid can'
      )
    state, erased = memory.forget_region(self.states, region)
    states = jax.tree.map(lambda x: jnp.asarray(x)[None], state)
    self._session = dataclasses.replace(session, states=states)
    return erased

  def points(self, confidence: float = 0.5) -> tuple[np.ndarray, np.ndarray]:
    """The memory as a cloud of points.

    What it shows to the cameras that have been here, where it is sure.

    Args:
      confidence: least probability that a point is right.

    Returns:
      Positions `[p, 3]` float32 in the world's axes, metres, and colours
      `[p, 3]` uint8.
    """
    positions = [np.zeros((0, 3), np.float32)]
    colours = [np.zeros((0, 3), np.uint8)]
    visited = self._visited
    for start in range(0, len(visited), READ_AT_ONCE):
      some = visited[start : start + READ_AT_ONCE]
      some += [some[-1]] * (READ_AT_ONCE - len(some))
      cameras = Cameras(*(np.stack(x) for x in zip(*some, strict=True)))
      seen = self.look(cameras)
      sure = (seen.confidence >= confidence) & (seen.depth_m > 0)
      points = np.asarray(pinhole.unproject(cameras, seen.depth_m))
      positions.append(points[sure].astype(np.float32))
      colours.append(np.asarray(decode_colour(seen.rgb))[sure])
    return _thin(np.concatenate(positions), np.concatenate(colours))

  def export_points(
    self, path: str | os.PathLike, confidence: float = 0.5
  ) -> int:
    """Writes `points` as a PLY file and returns how many there are."""
    positions, colours = self.points(confidence)
    write_ply(path, positions, colours)
    return len(positions)

  def save(self, folder: str | os.PathLike) -> None:
    """Writes all that `load` needs to go on, but for the model itself."""
    with staged(folder) as stage:
      session = self._session
      if session is not None and session.states is not None:
        memory: Any = self.model.model.memory
        storage.save(stage / MEMORY, memory, session.states)
      window = None if session is None else session.window
      arrays: dict[str, Any] = {} if window is None else _arrays(window)
      intrinsics, poses = (
        zip(*self._visited, strict=True) if window else ((), ())
      )
      arrays |= {'visited_intrinsics': intrinsics, 'visited_poses': poses}
      np.savez_compressed(stage / WINDOW, **arrays)
      about = {
        'format': FORMAT,
        'version': VERSION,
        'seed': self.seed,
        'chunks': self._chunks,
        'observed': window is not None,
      }
      (stage / ABOUT).write_text(json.dumps(about, indent=2) + '\n')

  @classmethod
  def load(
    cls,
    folder: str | os.PathLike,
    model: TrainedModel,
    steps: int | None = None,
  ) -> 'World':
    """The world that `save` wrote, to go on with the same model.

    Raises:
      FileNotFoundError: a file is missing.
      ValueError: damaged files, or a memory of another model.
    """
    folder = pathlib.Path(folder)
    about, arrays = _read(folder)
    world = cls(model, about['seed'], steps)
    world._chunks = about['chunks']
    world._visited = list(
      zip(arrays['visited_intrinsics'], arrays['visited_poses'], strict=True)
    )
    if not about['observed']:
      return world
    fields = {f.name for f in dataclasses.fields(Clip)} & arrays.keys()
    window = Clip(**{name: jnp.asarray(arrays[name]) for name in fields})
    states = None
    if model.model.memory is not None:
      memory, state = storage.load(folder / MEMORY)
      if not storage.alike(memory, model.model.memory):
        raise ValueError(
          f'{folder} holds {memory}, but the model remembers by '
          f'{model.model.memory}; give the model that it was saved with'
        )
      states = jax.tree.map(lambda x: x[None], state)
    world._session = Session(window, states)
    return world

  def _memory(self, what: str) -> tuple[Session, Any]:
    """The session and the memory, which must be there to do `what`."""
    memory: Any = self.model.model.memory
    if memory is None or not memory.renders:
      raise ValueError(f'cannot {what}: the model has no spatial memory')
    if self._session is None:
      raise ValueError(f'cannot {what}: nothing was observed yet')
    return self._session, memory

  def _visit(self, cameras: Cameras) -> None:
    """Notes where cameras were; of too many, every other one."""
    poses = np.asarray(cameras.world_from_camera)
    pairs = zip(np.asarray(cameras.intrinsics), poses, strict=True)
    self._visited.extend(pairs)
    while len(self._visited) > VIEWS:
      self._visited = self._visited[::2]


def write_ply(
  path: str | os.PathLike,
  positions: Float[np.ndarray, 'p 3'],
  colours: Array,
) -> None:
  """Writes points `[p, 3]` with uint8 colours as a binary PLY file."""
  kind = [(axis, '<f4') for axis in 'xyz']
  kind += [(colour, 'u1') for colour in ('red', 'green', 'blue')]
  rows = np.empty(len(positions), kind)
  for (name, _), column in zip(kind, [*positions.T, *colours.T], strict=True):
    rows[name] = column
  types = {'<f4': 'float', 'u1': 'uchar'}
  header = ['ply', 'format binary_little_endian 1.0']
  header += [f'element vertex {len(rows)}']
  header += [f'property {types[code]} {name}' for name, code in kind]
  text = '\n'.join([*header, 'end_header', ''])
  with replaced(path) as temporary:
    temporary.write_bytes(text.encode('ascii') + rows.tobytes())


def _read(folder: pathlib.Path) -> tuple[dict[str, Any], dict[str, Any]]:
  """What `save` wrote beside the memory."""
  try:
    about = json.loads((folder / ABOUT).read_text(encoding='utf-8'))
    if (about.get('format'), about.get('version')) != (FORMAT, VERSION):
      raise ValueError(f'{ABOUT} is not of {FORMAT} version {VERSION}')
    with np.load(folder / WINDOW) as arrays:
      return about, dict(arrays)
  except FileNotFoundError as error:
    raise FileNotFoundError(
      f'{error.filename} is missing; expected a folder that World.save wrote'
    ) from None
  except (ValueError, OSError, zipfile.BadZipFile) as error:
    raise ValueError(
      f'{folder} is damaged ({error}); save the world again'
    ) from None


def _arrays(clip: Clip) -> dict[str, np.ndarray]:
  """The fields of a clip that are there."""
  fields = {f.name: getattr(clip, f.name) for f in dataclasses.fields(clip)}
  return {k: np.asarray(v) for k, v in fields.items() if v is not None}


def _take(tree: Any, index: Any) -> Any:
  return jax.tree.map(lambda x: x[index], tree)


def _several(cameras: Cameras) -> Cameras:
  """Cameras `[t]`, of one or of several."""
  single = np.ndim(cameras.intrinsics) == 1
  return _take(cameras, None) if single else cameras


def _one_scene(cameras: Cameras) -> Cameras:
  """Cameras `[1, t]` on the device."""
  return jax.tree.map(lambda x: jnp.asarray(x, jnp.float32)[None], cameras)


def _thin(
  positions: np.ndarray, colours: np.ndarray, cell_m: float = 0.02
) -> tuple[np.ndarray, np.ndarray]:
  """One point of each cell of space."""
  cells = np.floor(positions / cell_m).astype(np.int64)
  _, first = np.unique(cells, axis=0, return_index=True)
  return positions[first], colours[first]
