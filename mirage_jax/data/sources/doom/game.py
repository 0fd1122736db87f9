"""Plays camera paths through levels and keeps what is seen, and the truth."""

import contextlib
import dataclasses
import os
import pathlib
from typing import Any

import numpy as np
from PIL import Image

from mirage_jax.arrays import Float
from mirage_jax.data.sources.doom.casting import View, cast
from mirage_jax.data.sources.doom.levels import UNITS, Level
from mirage_jax.geometry.clips import Clip

TICS = 2  # of the game, a frame: after one, the eyes are still on the ground
TICS_A_SECOND = 35
# Half a screen of 4:3 is one wide and 1.2 times that, pixels being higher.
ASPECT, TALL = 4 / 3, 1.2
SETTINGS = '+sv_cheats 1 +r_visibility 64'
WARM_UP = 6  # frames before the first
OBJECTS = 32  # that a clip tells of at most
BOX_M = (0.8, 1.4, 0.8)  # the game does not say how large things are
MOVED = 2.0  # map units that a thing must move to be a mover
HIDDEN = (
  'hud', 'weapon', 'crosshair', 'decals', 'particles', 'messages', 'corpses',
)  # fmt: skip
RESOLUTIONS = (120, 192, 240, 300, 384, 480, 600, 768, 960)


def package() -> Any:
  """ViZDoom, if it is installed.

  Raises:
    ValueError: it is not.
  """
  try:
    import vizdoom
  except ImportError:
    raise ValueError(
      "the source doom needs ViZDoom: pip install -e '.[vizdoom]'"
    ) from None
  return vizdoom


def wad_files() -> list[pathlib.Path]:
  """The level files that come with ViZDoom: both parts of Freedoom."""
  folder = pathlib.Path(package().__file__).parent
  return [folder / 'freedoom1.wad', folder / 'freedoom2.wad']


@dataclasses.dataclass(frozen=True)
class Seen:
  """A frame of the game, as it comes.

  Attributes:
    rgb: `[h, w, 3]` uint8, of a screen of 4:3.
    labels: `[h, w]` uint8: which thing each pixel shows, 0 = the level.
    things: by the label of those in view: identity, x, y, z.
    view: x, y, height of the eyes, and degrees.
    floor, ceiling: heights of all sectors now.
    places: position and velocity of all things, by identity.
  """

  rgb: np.ndarray
  labels: np.ndarray
  things: dict[int, tuple[int, np.ndarray]]
  view: Float[np.ndarray, '4']
  floor: np.ndarray
  ceiling: np.ndarray
  places: dict[int, tuple[np.ndarray, np.ndarray]]


class Game:
  """One running game, in a process of its own.

  Args:
    wad: the level file.
    rows: pixels of the screen at least, down.
    monsters: whether there are any.
  """

  def __init__(self, wad: pathlib.Path, rows: int, monsters: bool):
    vizdoom = package()
    screen = next((x for x in RESOLUTIONS if x >= rows), RESOLUTIONS[-1])
    name = f'RES_{round(screen * ASPECT)}X{screen}'
    game = vizdoom.DoomGame()
    game.set_doom_game_path(str(wad))
    game.set_doom_scenario_path(str(wad))
    game.set_doom_config_path(os.devnull)  # read at the start, written at last
    game.set_screen_resolution(getattr(vizdoom.ScreenResolution, name))
    game.set_screen_format(vizdoom.ScreenFormat.RGB24)
    game.set_labels_buffer_enabled(True)
    game.set_objects_info_enabled(True)
    game.set_sectors_info_enabled(True)
    for what in HIDDEN:
      getattr(game, f'set_render_{what}')(False)
    game.set_window_visible(False)
    game.set_mode(vizdoom.Mode.PLAYER)
    game.set_episode_timeout(0)
    game.set_available_buttons([vizdoom.Button.TURN_LEFT_RIGHT_DELTA])
    known = vizdoom.GameVariable
    game.set_available_game_variables(
      [getattr(known, f'CAMERA_POSITION_{axis}') for axis in 'XYZ']
      + [known.CAMERA_ANGLE]
    )
    # Things are as bright from afar as from near: a surface has one colour.
    game.add_game_args(f'+sv_nomonsters {int(not monsters)} {SETTINGS}')
    self._game, self._started = game, False

  def play(self, name: str, seed: int, position, angle) -> list[Seen]:
    """Plays along a path: `position` `[t, 2]`, `angle` `[t]` degrees."""
    game = self._game
    game.set_doom_map(name)
    game.set_seed(seed)
    if self._started:
      game.new_episode()
    else:
      game.init()
      self._started = True
      with contextlib.suppress(OSError):  # it leaves this, empty
        pathlib.Path('_vizdoom').rmdir()
    game.send_game_command('god')
    self._go(position[0], angle[0])
    for _ in range(WARM_UP):  # it turns by so much a tic at most
      self._go(position[0], angle[0])
    return [
      _seen(self._go(place, turn))
      for place, turn in zip(position, angle, strict=True)
    ]

  def _go(self, place: Float[np.ndarray, '2'], angle: float) -> Any:
    """Puts the player somewhere and gives the state of the game."""
    now = self._game.get_state().game_variables[3]
    turn = (angle - now + 180) % 360 - 180
    x, y = (round(float(value)) for value in place)
    self._game.send_game_command(f'warp {x} {y}')
    self._game.make_action([-turn / TICS], TICS)
    return self._game.get_state()

  def close(self) -> None:
    """Ends the game's process."""
    with contextlib.suppress(Exception):
      self._game.close()


def _seen(state: Any) -> Seen:
  things = {}
  for label in state.labels:
    where = (getattr(label, f'object_position_{axis}') for axis in 'xyz')
    things[int(label.value)] = (label.object_id, np.array(list(where)))
  places = {}
  for thing in state.objects:
    where, speed = (
      np.array([getattr(thing, f'{kind}_{axis}') for axis in 'xyz'])
      for kind in ('position', 'velocity')
    )
    places[thing.id] = (where, speed)
  return Seen(
    rgb=state.screen_buffer.copy(),
    labels=state.labels_buffer.copy(),
    things=things,
    view=np.array(state.game_variables, np.float64),
    floor=np.array([sector.floor_height for sector in state.sectors]),
    ceiling=np.array([sector.ceiling_height for sector in state.sectors]),
    places=places,
  )


def make_clip(
  level: Level, frames: list[Seen], height: int, width: int
) -> Clip:
  """Frames as a clip, with depth cast through the level.

  Things are flat and face the camera: their depth is that of where they
  stand. What moves is dynamic: things that change their place, and floors and
  ceilings that change their height.
  """
  moving = _movers(frames)
  floors, ceilings = (
    np.stack([getattr(frame, name) for frame in frames])
    for name in ('floor', 'ceiling')
  )
  shifting = (np.ptp(floors, axis=0) > 0) | (np.ptp(ceilings, axis=0) > 0)
  seen = dict.fromkeys(
    identity for frame in frames for identity, _ in frame.things.values()
  )
  numbers = {identity: i + 1 for i, identity in enumerate(list(seen)[:OBJECTS])}
  focal = (1.0, 1.0)
  images: dict[str, list[np.ndarray]] = {
    name: [] for name in ('rgb', 'depth_m', 'dynamic', 'sky', 'object_id')
  }
  for frame in frames:
    rgb, labels, focal = _cropped(frame, height, width)
    view = View(frame.view[:3], frame.view[3], focal)
    found = cast(level, frame.floor, frame.ceiling, view, height, width)
    depth, dynamic = found.depth, shifting[found.sector]
    ids = np.zeros(labels.shape, np.int32)
    for label, (identity, where) in frame.things.items():
      here = labels == label
      away = (where[:2] - frame.view[:2]) @ view.forward
      depth = np.where(here, max(away, 1.0), depth)
      dynamic = np.where(here, identity in moving, dynamic)
      ids = np.where(here, numbers.get(identity, 0), ids)
    images['rgb'].append(rgb)
    images['depth_m'].append((depth / UNITS).astype(np.float32))
    images['dynamic'].append(dynamic)
    images['sky'].append(depth == 0)
    images['object_id'].append(ids)
  views = np.stack([frame.view for frame in frames])
  lens = np.array([*focal, 0.5, 0.5], np.float32)
  return Clip(
    **{name: np.stack(image) for name, image in images.items()},
    intrinsics=np.tile(lens, (len(frames), 1)),
    world_from_camera=poses(views),
    time_s=(np.arange(len(frames)) * TICS / TICS_A_SECOND).astype(np.float32),
    **_objects(frames, numbers),
  )


def poses(views: Float[np.ndarray, 't 4']) -> Float[np.ndarray, 't 4 4']:
  """`world_from_camera` of views; the world is x east, y down, z north."""
  turn = np.radians(views[:, 3])
  c, s, o, i = np.cos(turn), np.sin(turn), 0 * turn, 0 * turn + 1
  rotation = np.array(
    [[s, o, c], [o, i, o], [-c, o, s]]
  )  # right, down, forward
  pose = np.tile(np.eye(4), (len(views), 1, 1))
  pose[:, :3, :3] = np.moveaxis(rotation, -1, 0)
  pose[:, :3, 3] = _world(views[:, :3])
  return pose.astype(np.float32)


def _world(points: np.ndarray) -> np.ndarray:
  """Points of the map in the world's axes and metres."""
  x, y, z = np.moveaxis(points, -1, 0)
  return np.stack([x, -z, y], axis=-1) / UNITS


def _cropped(
  frame: Seen, height: int, width: int
) -> tuple[np.ndarray, np.ndarray, tuple[float, float]]:
  """Colours and labels at a size, and the focal lengths that this leaves."""
  rows, columns = frame.labels.shape
  down = min(rows, round(columns * height / width))
  across = min(columns, round(rows * width / height))
  top, left = (rows - down) // 2, (columns - across) // 2
  part = (slice(top, top + down), slice(left, left + across))
  size = (width, height)
  rgb = Image.fromarray(frame.rgb[part]).resize(size, Image.Resampling.BOX)
  at = (
    ((np.arange(n) + 0.5) * whole / n).astype(int)
    for n, whole in ((height, down), (width, across))
  )
  labels = frame.labels[part][np.ix_(*at)]
  focal = columns / 2  # pixels: the game sees 90 degrees
  return np.asarray(rgb), labels, (focal / across, TALL * focal / down)


def _movers(frames: list[Seen]) -> set[int]:
  """Identities of things that change their place, come or go."""
  first: dict[int, np.ndarray] = {}
  found = set()
  for frame in frames:
    for identity, (where, _) in frame.places.items():
      start = first.setdefault(identity, where)
      if np.abs(where - start).max() > MOVED:
        found.add(identity)
  return found


def _objects(
  frames: list[Seen], numbers: dict[int, int]
) -> dict[str, np.ndarray]:
  """Boxes, positions and velocities, `[t, o, 3]`; 0 for what there is not."""
  shape = (len(frames), OBJECTS, 3)
  position, velocity = np.zeros(shape, np.float32), np.zeros(shape, np.float32)
  box = np.zeros(shape, np.float32)
  for t, frame in enumerate(frames):
    for identity, number in numbers.items():
      if identity in frame.places:
        where, speed = frame.places[identity]
        position[t, number - 1] = _world(where)
        velocity[t, number - 1] = _world(speed * TICS_A_SECOND)
        box[t, number - 1] = BOX_M
  return {
    'object_box': box,
    'object_position': position,
    'object_velocity': velocity,
  }
