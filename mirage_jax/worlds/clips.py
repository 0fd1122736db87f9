"""A whole clip from a key."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np

from mirage_jax.arrays import Array, Float, Key
from mirage_jax.geometry.cameras import Cameras
from mirage_jax.geometry.clips import Clip
from mirage_jax.worlds import rooms, streets
from mirage_jax.worlds.config import WorldConfig
from mirage_jax.worlds.movers import mover_state
from mirage_jax.worlds.paths import make_path
from mirage_jax.worlds.rendering import render
from mirage_jax.worlds.scenes import Scene
from mirage_jax.worlds.solids import join, keep

# Objects that a clip of each kind has slots for, used or not.
OBJECTS = {'rooms': rooms.SLOTS, 'streets': streets.SLOTS}
_PHASES = 8  # tried for each mover
_APART_M = 1.2
MOVED_M = 1.0  # that an object is moved while nobody looks


def make_scene(key: Key[Array, ''], config: WorldConfig) -> Scene:
  """A random scene of `config.kind`, with movers if `config.movers`."""
  return _make_scene(key, WorldConfig(config.kind, movers=config.movers))


@functools.partial(jax.jit, static_argnames='config')
def _make_scene(key, config):
  make = {'rooms': rooms.make_rooms, 'streets': streets.make_streets}
  return make[config.kind](key, config)


def make_clip(key: Key[Array, ''], config: WorldConfig) -> Clip:
  """A random clip `[t, ...]` of a random scene, with every field filled.

  The same key and config give the same clip, of NumPy arrays. Runs on the host:
  scenes, paths and frames are compiled apart, and neither scenes nor frames
  again for a clip of another length.
  """
  build, which, walk, phases = jax.random.split(key, 4)
  scene = make_scene(build, config)
  index = int(jax.random.randint(which, (), 0, len(config.paths)))
  cameras = make_path(walk, scene, config.paths[index], config)
  time_s = jnp.arange(config.frames) / config.fps
  scene = keep_apart(phases, scene, cameras, time_s)
  return render(scene, cameras, time_s, config)


def make_changed_clips(
  key: Key[Array, ''], config: WorldConfig
) -> tuple[Clip, Clip, Clip]:
  """A random clip, the same one without a static object, and with it moved.

  What is gone, or `MOVED_M` nearer to the middle of the path, is the object
  that most of the clip's pixels show.
  """
  build, walk = jax.random.split(key)
  scene = make_scene(build, config)
  cameras = make_path(walk, scene, config.paths[0], config)
  time_s = jnp.arange(config.frames) / config.fps
  before = render(scene, cameras, time_s, config)
  assert before.object_id is not None
  shown = np.bincount(before.object_id.reshape(-1))
  static = np.where(scene.objects < len(shown), scene.objects, 0)
  which = scene.objects[np.argmax(shown[static] * (static > 0))]
  middle = cameras.world_from_camera[:, :3, 3].mean(0)
  gone = render(_without(scene, which), cameras, time_s, config)
  moved = render(_moved(scene, which, middle), cameras, time_s, config)
  return before, gone, moved


def _without(scene: Scene, which: Array) -> Scene:
  return dataclasses.replace(
    scene,
    boxes=keep(scene.boxes, scene.boxes.object_id != which),
    rounds=keep(scene.rounds, scene.rounds.object_id != which),
  )


def _moved(scene: Scene, which: Array, middle: Float[Array, '3']) -> Scene:
  """With an object moved along the ground, towards `middle`."""
  every = join([scene.boxes, scene.rounds])
  own = (every.object_id == which) & (every.half > 0).any(-1)
  centre = (every.centre * own[:, None]).sum(0) / jnp.maximum(own.sum(), 1)
  way = (middle - centre) * jnp.array([1.0, 0.0, 1.0])
  way = MOVED_M * way / jnp.maximum(jnp.linalg.norm(way), 1e-6)

  def move(solids):
    moves = (solids.object_id == which)[:, None]
    return dataclasses.replace(solids, centre=solids.centre + moves * way)

  return dataclasses.replace(
    scene, boxes=move(scene.boxes), rounds=move(scene.rounds)
  )


@jax.jit
def keep_apart(
  key: Key[Array, ''], scene: Scene, cameras: Cameras, time_s: Float[Array, 't']
) -> Scene:
  """Lets movers start where they will not run into the camera."""
  movers = scene.movers
  shifts = jax.random.uniform(key, (_PHASES,)) * 0.05
  shifts += jnp.arange(_PHASES) / _PHASES
  eye = cameras.world_from_camera[:, :3, 3]

  def nearest(shift):
    moved = dataclasses.replace(movers, phase=movers.phase + shift)
    centre = jax.vmap(lambda t: mover_state(moved, t)[0])(time_s)  # [t, m, 3]
    apart = jnp.hypot(
      centre[..., 0] - eye[:, None, 0], centre[..., 2] - eye[:, None, 2]
    )
    return apart.min(0)

  score = jnp.minimum(jax.vmap(nearest)(shifts), _APART_M)  # [phases, m]
  best = shifts[jnp.argmax(score, 0)]
  return dataclasses.replace(
    scene, movers=dataclasses.replace(movers, phase=movers.phase + best)
  )
