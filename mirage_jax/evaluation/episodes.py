"""Episodes of a sample: observed frames, and a camera path to generate along.

The path of a sample may be the clip's own, one that a world knows by name
(`out_and_back`, `loop`, ...), an orbit or a pan from the last observed frame,
or the poses of a `transforms.json`. Worlds render the truth along any of them;
a folder has true frames along its own path and out and back along it.
"""

import dataclasses
import functools
import pathlib
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from mirage_jax import worlds
from mirage_jax.data.readers import transforms
from mirage_jax.data.readers.folders import read_folder
from mirage_jax.data.resizing import resize_clip
from mirage_jax.data.sources.catalog import open_source, traits_of
from mirage_jax.data.sources.folder import FolderSource
from mirage_jax.data.sources.traits import Traits
from mirage_jax.geometry import paths
from mirage_jax.geometry.cameras import Cameras
from mirage_jax.geometry.clips import Clip, take_frames
from mirage_jax.models.codec import fill_masks

SYNTHETIC = ('orbit', 'pan')
DEFAULT_DISTANCE_M = 2.0


@dataclasses.dataclass(frozen=True)
class Request:
  """Request for a sample.

  Attributes:
    source: 'rooms', 'streets', 'doom', a folder with a `transforms.json`, or
      an `.npz` of recorded episodes.
    camera_path: 'clip', a path that worlds know, 'orbit', 'pan', or a file.
    observed: frames given.
    generated: frames to generate.
    height: of the frames, pixels.
    width: of the frames, pixels.
    seed: of the world.
    start: first frame of a folder's clip.
    every: frame stride in a folder.
    split: 'all' of a recording, or what training on clips of `clip` frames
      is given ('train') or never sees ('test').
    clip: see there.
  """

  source: str
  camera_path: str
  observed: int
  generated: int
  height: int
  width: int
  seed: int = 0
  start: int = 0
  every: int = 1
  split: str = 'all'
  clip: int | None = None

  @property
  def frames(self) -> int:
    """Frames of the whole path."""
    return self.observed + self.generated

  @property
  def traits(self) -> Traits:
    """Abilities of the source."""
    return traits_of(self.source)


@dataclasses.dataclass(frozen=True)
class Scene:
  """Frames `[s]` along the whole path.

  Attributes:
    clip: where there is no truth, frames after the observed ones are black
      and without depth.
    known: whether there is truth along the whole path.
  """

  clip: Clip
  known: bool


def make_scene(request: Request, index: int = 0) -> Scene:
  """The observed frames and the path of a request; `index` counts scenes.

  Raises:
    ValueError: an unknown source or path, or a folder with too few frames.
    FileNotFoundError: a missing `transforms.json`.
  """
  check_path(request)
  if request.traits.has_episodes:
    return Scene(_recorded_episodes(request, index + 1)[-1], known=True)
  if request.traits.renders_any_path:
    return Scene(_world_clip(request, index), known=True)
  return _folder_scene(request)


def open_episodes(request: Request, count: int) -> Any:
  """At most `count` clips along a request's path, with their truth.

  Worlds give as many test clips as asked; a folder gives clips that start half
  a path after each other, as many as it holds; recorded episodes are as long as
  asked, along their own path whatever the request says.
  """
  if request.traits.has_episodes:
    return _recorded_episodes(request, count)
  if request.traits.renders_any_path:
    return _world_source(request, count)
  total = len(_read(request.source, request.split, request.clip).time_s)
  reach = request.every * int(_steps(request).max())
  starts = range(request.start, total - reach, max(1, reach // 2))
  if not starts:
    starts = [request.start]
  requests = [dataclasses.replace(request, start=i) for i in starts[:count]]
  return [_folder_scene(each).clip for each in requests]


def _recorded_episodes(request: Request, count: int) -> list[Clip]:
  options = _world_options(request) | {'split': request.split}
  if request.traits.makes_clips:
    options |= {'clips': count, 'seed': request.seed, 'split': 'test'}
  episodes = open_source(request.source, **options)
  clips = [episodes[i] for i in range(min(count, len(episodes)))]
  return [_with_objects(clip) for clip in clips]


def _with_objects(clip: Clip) -> Clip:
  """The clip with its masks filled, and what is known of objects."""
  names = ('id', 'box', 'position', 'velocity')
  known = {f'object_{x}': getattr(clip, f'object_{x}') for x in names}
  return dataclasses.replace(fill_masks(clip), **known)


def check_path(request: Request) -> None:
  """Raises ValueError or FileNotFoundError for a path that there is not."""
  name = request.camera_path
  if request.traits.has_episodes and name != 'clip':
    raise ValueError(
      f"camera path '{name}' for {request.source}; recorded episodes only know "
      "their own path: give 'clip'"
    )
  if name in ('clip', *SYNTHETIC):
    return
  if name.endswith('.json'):
    transforms.transforms_file(name)
    return
  rendered = request.traits.renders_any_path
  known = worlds.PATHS if rendered else ('out_and_back',)
  if name not in known:
    choices = ', '.join(('clip', *SYNTHETIC, *known))
    raise ValueError(
      f"unknown camera path '{name}' for {request.source}; have {choices}, or "
      'a transforms.json'
    )


def _world_options(request: Request) -> dict[str, Any]:
  return {
    'frames': request.frames,
    'height': request.height,
    'width': request.width,
  }


def _world_source(request: Request, count: int):
  """Test clips of a world along a path that it knows."""
  options = _world_options(request)
  if request.camera_path != 'clip':
    options['paths'] = (request.camera_path,)
  return open_source(
    request.source, clips=count, seed=request.seed, split='test', **options
  )


def _world_clip(request: Request, index: int) -> Clip:
  if request.camera_path in ('clip', *worlds.PATHS):
    return fill_masks(_world_source(request, index + 1)[index])
  options = _world_options(request)
  config = worlds.WorldConfig(kind=request.source, **options)
  key = jax.random.fold_in(jax.random.key(request.seed), index)
  build, walk = jax.random.split(key)
  time_s = jnp.arange(request.frames) / config.fps
  scene = worlds.make_scene(build, config)
  cameras = worlds.make_path(walk, scene, 'random_walk', config)
  seen = slice(request.observed)
  cameras = jax.tree.map(lambda x: x[seen], cameras)
  given = worlds.render(scene, cameras, time_s[seen], config)
  after = _path_from(request, given)
  rest = worlds.render(scene, after, time_s[request.observed :], config)
  return _joined(fill_masks(given), fill_masks(rest))


def _joined(first: Clip, second: Clip) -> Clip:
  return jax.tree.map(lambda a, b: np.concatenate([a, b]), first, second)


def _path_from(request: Request, given: Clip) -> Cameras:
  """The cameras after the observed frames, for paths that are made up."""
  last = jax.tree.map(lambda x: jnp.asarray(x[-1]), given.cameras)
  if request.camera_path == 'pan':
    return paths.pan(last, request.generated)
  if request.camera_path == 'orbit':
    depth_m = np.asarray(given.depth_m[-1])
    known = depth_m[depth_m > 0]
    distance = float(np.median(known)) if known.size else DEFAULT_DISTANCE_M
    return paths.orbit(last, request.generated, distance)
  return paths.follow(last, jnp.asarray(_file_poses(request)))


def _file_poses(request: Request) -> np.ndarray:
  """The poses of a file, evenly spread over the generated frames."""
  entries = transforms.read_transforms(request.camera_path)
  poses = np.stack([entry.pose for entry in entries]).astype(np.float32)
  index = np.linspace(0, len(poses) - 1, request.generated)
  return poses[index.round().astype(int)]


@functools.lru_cache(maxsize=1)
def _read(source: str, split: str, clip: int | None) -> Clip:
  if not (pathlib.Path(source) / 'transforms.json').is_file():
    open_source(source)  # raises, and says what there is
  if split == 'all':
    return read_folder(source).clip
  return FolderSource(source, clip, split=split).clip


def _folder_scene(request: Request) -> Scene:
  clip = _read(request.source, request.split, request.clip)
  order = _folder_order(request, len(clip.time_s))
  step_s = float(clip.time_s[1] - clip.time_s[0]) if len(clip.time_s) > 1 else 1
  clip = take_frames(clip, order)
  clip = resize_clip(clip, request.height, request.width)
  time_s = np.arange(request.frames, dtype=np.float32) * step_s
  if len(order) == request.frames:
    return Scene(
      fill_masks(dataclasses.replace(clip, time_s=time_s)), known=True
    )
  given = jax.tree.map(np.asarray, fill_masks(clip))
  if request.camera_path.endswith('.json'):
    lens = np.tile(given.intrinsics[-1:], (request.generated, 1))
    after = Cameras(lens, _file_poses(request))
  else:
    after = _path_from(request, given)
  rest = jax.tree.map(
    lambda x: np.zeros((request.generated, *x.shape[1:]), x.dtype), given
  ).replace(
    intrinsics=np.asarray(after.intrinsics),
    world_from_camera=np.asarray(after.world_from_camera),
  )
  return Scene(
    dataclasses.replace(_joined(given, rest), time_s=time_s), known=False
  )


def _folder_order(request: Request, total: int) -> np.ndarray:
  """Orders the frames of a folder that are used.

  Raises:
    ValueError: when it has too few.
  """
  steps = _steps(request)
  order = request.start + request.every * steps
  if order.max() >= total:
    raise ValueError(
      f'{request.source} has {total} readable frames, this path needs '
      f'{order.max() + 1}; lower --chunks, --every or --start'
    )
  return order


def _steps(request: Request) -> np.ndarray:
  """Offsets of a folder's frames along the path."""
  if request.camera_path == 'clip':
    return np.arange(request.frames)
  if request.camera_path == 'out_and_back':
    there = np.arange(request.frames)
    return np.minimum(there, there[::-1])
  return np.arange(request.observed)
