"""Houses of one to four furnished rooms round one corner.

Rooms lie in a grid of two by two, numbered x first; walls of a room are
numbered -x, +x, -z, +z. In every room an ellipse keeps clear of what stands at
the walls and in the middle; it and straight lines through the doors are where
cameras and people walk.
"""

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np

from mirage_jax.arrays import Array, Bool, Float, Key
from mirage_jax.worlds import furniture, interiors, palettes, routes
from mirage_jax.worlds.config import WorldConfig
from mirage_jax.worlds.movers import Movers
from mirage_jax.worlds.scenes import Scene
from mirage_jax.worlds.shading import Lighting
from mirage_jax.worlds.solids import (
  Solids,
  flatten,
  join,
  keep,
  label,
  place,
)
from mirage_jax.worlds.templates import build, select

_YAWS = np.float32([np.pi / 2, -np.pi / 2, 0.0, np.pi])  # from walls inwards
_ALONG = np.float32([-1, 1, 1, -1])  # a wall's own x against the room's axes
_BODY_M = 0.3  # clearance of a camera or a person
_TALL_M = 1.5  # nothing hangs above pieces taller than this
_OBJECTS = 13  # a room: 4 at walls, 4 in corners, a table and 4 chairs
SLOTS = 4 * _OBJECTS + 1  # objects of four rooms, and the person


@flax.struct.dataclass
class Room:
  """One room of a house.

  Attributes:
    centre: `[2]` x and z, metres.
    half: `[2]` half extents between the walls.
    exists: whether it is there.
    door: `[4]` which walls have a door.
    door_at: `[4]` where along the wall, from the room's centre.
    height: of the ceiling.
    middle: radius of what stands in the middle.
    ring: `[2]` half axes of the ellipse that keeps clear of everything.
  """

  centre: Float[Array, '*r 2']
  half: Float[Array, '*r 2']
  exists: Bool[Array, '*r']
  door: Bool[Array, '*r 4']
  door_at: Float[Array, '*r 4']
  height: Float[Array, '*r']
  middle: Float[Array, '*r']
  ring: Float[Array, '*r 2']


def make_rooms(key: Key[Array, ''], config: WorldConfig) -> Scene:
  """A house with its furniture and, with `config.movers`, a person."""
  u = jax.random.uniform(key, (4, _DRAWS + 16))
  rooms, split = make_layout(u[0, :12])
  boxes, rounds = jax.vmap(_furnish)(u[:, 16:], rooms, jnp.arange(4))
  curves = routes.room_curves(rooms)
  walker = _person(u[1, :16], curves, config.movers)
  ids = jnp.arange(1, 4 * _OBJECTS + 1).reshape(4, _OBJECTS)
  ids = jnp.where(rooms.exists[:, None], ids, 0).reshape(-1)
  return Scene(
    boxes=flatten(keep(boxes, rooms.exists[:, None])),
    rounds=flatten(keep(rounds, rooms.exists[:, None])),
    movers=walker,
    lighting=_lighting(u[2, :4], rooms, split),
    curves=curves,
    eye_m=1.35 + 0.3 * u[3, 0],
    objects=ids,
  )


def make_layout(u: Float[Array, '12']) -> tuple[Room, Float[Array, '2']]:
  """Rooms `[4]`, and x and z of the walls between them."""
  count = 1 + jnp.floor(u[0] * 4)
  size = 4.2 + 2.0 * u[1:5].reshape(2, 2)  # by axis, then by side
  x, z = np.arange(4) % 2, np.arange(4) // 2
  extent = jnp.stack([size[0][x], size[1][z]], -1)
  centre = extent / 2 * (2 * np.stack([x, z], -1) - 1)
  exists = np.array([1, 2, 4, 3]) <= count
  across = exists.reshape(2, 2).all(1)[z]  # doors along x, by z
  ahead = exists.reshape(2, 2).all(0)[x]  # doors along z, by x
  door = [(x == 1) & across, (x == 0) & across, (z == 1) & ahead,
          (z == 0) & ahead]  # fmt: skip
  half = extent / 2 - interiors.WALL_M / 2
  ring = half - furniture.WALL_DEPTH_M - _BODY_M - 0.02
  at = (u[5:9].reshape(2, 2) - 0.5) * jnp.minimum(1.0, ring.min())
  rooms = Room(
    centre=centre,
    half=half,
    exists=exists,
    door=jnp.stack(door, -1),
    door_at=jnp.stack([at[0][z]] * 2 + [at[1][x]] * 2, -1),
    height=jnp.broadcast_to(2.45 + 0.35 * u[9], (4,)),
    middle=ring.min(-1) - _BODY_M - 0.05,
    ring=ring,
  )
  return rooms, jnp.zeros(2)


_WALL_DRAWS = palettes.DRAWS + 2
_CORNER_DRAWS = palettes.DRAWS + 3
_MIDDLE_DRAWS = palettes.DRAWS + 5
_DECOR_DRAWS = interiors.DECOR_DRAWS + 4
_PARTS = (
  interiors.SHELL_DRAWS,
  4 * _WALL_DRAWS,
  4 * _CORNER_DRAWS,
  _MIDDLE_DRAWS,
  4 * _DECOR_DRAWS,
)
_DRAWS = sum(_PARTS)


def _furnish(u: Float[Array, ' n'], room: Room, index):
  """All solids of one room."""
  shell, walls, corners, middle, decor = jnp.split(u, np.cumsum(_PARTS)[:-1])
  sides = jnp.arange(4)
  each = lambda f, u: jax.vmap(f, (0, None, 0))(u.reshape(4, -1), room, sides)
  first = 1 + index * _OBJECTS
  slabs, lamp, palette = _slabs(shell, room)
  sheets = jax.vmap(lambda i: _wall(palette, room, i))(sides)
  at_walls = each(_wall_piece, walls)
  bare = at_walls[0].centre[..., 1] - at_walls[0].half[..., 1] > -_TALL_M
  ids = first + jnp.arange(4)[:, None]
  boxes = [
    slabs,
    flatten(sheets),
    flatten(label(at_walls[0], ids)),
    _middle(middle, room, first + 8),
    flatten(keep(each(_decor, decor), bare.all(1)[:, None])),
  ]
  rounds = [
    lamp,
    flatten(label(at_walls[1], ids)),
    flatten(label(each(_corner_piece, corners), ids + 4)),
  ]
  return join(boxes), join(rounds)


def _ground(at):
  """A point `[2]` of the plan on the floor."""
  return jnp.stack([at[0], jnp.zeros_like(at[0]), at[1]])


def _slabs(u, room: Room):
  palette = interiors.shell_palette(u)
  half = room.half + interiors.WALL_M / 2
  slabs = build(interiors.SLABS, palette, half[0], half[1], room.height)
  lamp = build(interiors.LAMP, palette, room.height)
  at = _ground(room.centre)
  return place(slabs, at), place(lamp, at), palette


def _wall(palette, room: Room, side) -> Solids:
  """A wall with skirting and, where there is one, a door and its frame."""
  reach = jnp.where(side < 2, room.half[1], room.half[0])
  reach = reach + interiors.WALL_M / 2
  at = jnp.asarray(_ALONG)[side] * room.door_at[side]
  has = room.door[side]
  left = jnp.where(has, at - interiors.DOOR_HALF_M, reach)
  right = jnp.where(has, at + interiors.DOOR_HALF_M, reach)
  wall = build(interiors.WALL, palette, left, right, reach, room.height)
  wall = keep(wall, has | (interiors.WALL.group == 0))
  return _against(wall, room, side, 0.0)


def _against(solids: Solids, room: Room, side, shift) -> Solids:
  """Moves solids from a wall's own axes to the wall; `shift` along own x."""
  yaw = jnp.asarray(_YAWS)[side]
  c, s = jnp.cos(yaw), jnp.sin(yaw)
  out = jnp.where(side < 2, room.half[0], room.half[1])
  x = room.centre[0] + c * shift - s * out
  z = room.centre[1] - s * shift - c * out
  return place(solids, jnp.stack([x, jnp.zeros_like(x), z]), yaw)


def _free_span(room: Room, side):
  """The longest span of a wall, in own x, that no door or corner needs."""
  reach = jnp.where(side < 2, room.half[1], room.half[0])
  reach = reach - furniture.WALL_DEPTH_M - 0.05
  at = jnp.asarray(_ALONG)[side] * room.door_at[side]
  gap = interiors.DOOR_HALF_M + 0.12
  low = jnp.where(room.door[side] & (at < 0), at + gap, -reach)
  high = jnp.where(room.door[side] & (at >= 0), at - gap, reach)
  return low, high


def _wall_piece(u, room: Room, side):
  low, high = _free_span(room, side)
  width = high - low
  count = len(furniture.WALL_PIECES)
  kind = jnp.floor(u[0] * count).astype(jnp.int32)
  half = jnp.minimum(width / 2 - 0.05, jnp.asarray(furniture.WALL_HALF_M)[kind])
  slack = jnp.maximum(width / 2 - half - 0.05, 0.0)
  shift = (low + high) / 2 + slack * (2 * u[1] - 1)
  palette = palettes.furnishing(u[2:])
  pieces = zip(*furniture.WALL_PIECES, strict=True)
  solids = [build(select(list(p), kind), palette, half) for p in pieces]
  return tuple(
    keep(_against(s, room, side, shift), width > 1.15) for s in solids
  )


def _corner_piece(u, room: Room, corner):
  kind = (u[0] < 0.4).astype(jnp.int32)
  shape = select(furniture.CORNER_PIECES, kind)
  rounds = build(shape, palettes.furnishing(u[3:]), 0.3 * u[1])
  sign = jnp.stack([corner % 2, corner // 2]) * 2 - 1
  at = room.centre + sign * (room.half - furniture.CORNER_M / 2 - 0.03)
  return keep(place(rounds, _ground(at)), u[2] < 0.45)


def _middle(u, room: Room, first_id) -> Solids:
  """A rug, and a table with chairs or a low one."""
  radius = jnp.minimum(room.middle, 1.3)
  chairs = radius >= 0.95
  x = jnp.where(chairs, jnp.minimum(radius - 0.5, 0.75), radius * 0.7)
  z = jnp.where(chairs, jnp.minimum(radius - 0.45, 0.5), radius * 0.5)
  top = jnp.where(chairs, 0.74, 0.42)
  solids = build(
    furniture.DINING, palettes.furnishing(u[5:]), x, z, top, radius * 0.8,
    radius * 0.6,
  )  # fmt: skip
  group = furniture.DINING.group
  present = (group < 2) | (chairs & (u[jnp.maximum(group - 1, 0)] < 0.8))
  solids = keep(solids, present)
  solids = label(solids, jnp.where(group > 0, first_id + group - 1, 0))
  return place(solids, _ground(room.centre), u[0] * 2 * jnp.pi)


def _decor(u, room: Room, side):
  """A picture or, in outer walls, a window."""
  low, high = _free_span(room, side)
  half = 0.25 + 0.25 * u[0]
  wide = jnp.minimum((high - low) / 2 - 0.3, 0.75)
  is_window = ~room.door[side] & (u[1] < 0.4) & (wide > 0.4)
  shift = (low + high) / 2
  shift += jnp.where(is_window, 0, 0.6 * (u[2] - 0.5) * (high - low - 2 * half))
  solids = build(
    select(interiors.DECOR, is_window.astype(jnp.int32)),
    interiors.decor_palette(u[4:]),
    jnp.where(is_window, wide, half),
    jnp.where(is_window, 1.0, 1.45),
    jnp.where(is_window, 2.1, 1.45 + 1.5 * half),
  )
  return _against(solids, room, side, shift)


def _lighting(u, rooms: Room, split) -> Lighting:
  warm = 0.14 * u[:, None] - 0.05
  colour = 1.0 + warm * np.float32([1.0, 0.1, -1.4])
  x, z = rooms.centre[:, 0], rooms.centre[:, 1]
  return Lighting(
    split=split,
    lamp=jnp.stack([x, 0.35 - rooms.height, z], -1),
    lamp_colour=0.95 * colour,
    ambient=jnp.array([0.46, 0.47, 0.49]),
    sun=jnp.array([0.0, -1.0, 0.0]),
    sun_colour=jnp.zeros(3),
  )


def _person(u, curves, exists: bool) -> Movers:
  weights = jnp.cumsum(curves.exists * curves.length)
  route = jnp.argmax(weights > u[0] * weights[-1])
  return Movers(
    points=curves.points[route][None],
    length=curves.length[route][None],
    phase=u[1:2],
    speed=0.6 + 0.5 * u[2:3],
    height=1.55 + 0.3 * u[3:4],
    lift=jnp.zeros(1),
    colours=palettes.person(u[4:16])[None],
    object_id=jnp.array([4 * _OBJECTS + 1], jnp.int32),
    exists=jnp.array([exists]),
  )
