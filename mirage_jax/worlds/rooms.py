"""Houses of one to four furnished rooms round one corner.

Rooms lie in a grid of two by two, numbered x first; walls of a room are
numbered -x, +x, -z, +z. In every room an ellipse keeps clear of what stands at
the walls and in the middle; it and straight lines through the doors are where
cameras and people walk.
"""

import flax.struct
import jax
import jax.numpy as jnp

from mirage_jax.arrays import Array, Bool, Float, Key
from mirage_jax.worlds import furniture, palettes, routes
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
  material,
  place,
  solid,
  stack,
)

WALL_M = 0.12
DOOR_HALF_M = 0.5
DOOR_TOP_M = 2.05
_FLOOR_M = 0.1  # thickness
_YAWS = (jnp.pi / 2, -jnp.pi / 2, 0.0, jnp.pi)  # from a wall into the room
_BODY_M = 0.3  # clearance of a camera or a person


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
    middle: radius of what stands in the middle; 0 where nothing does.
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
  layout, inside, lamps, person, eye = jax.random.split(key, 5)
  rooms, split = make_layout(layout)
  keys = jax.random.split(inside, 4)
  boxes, rounds = jax.vmap(_furnish)(keys, rooms, jnp.arange(4))
  curves = routes.room_curves(rooms)
  walker = _person(person, curves, config.movers)
  ids = jnp.arange(1, 4 * _OBJECTS + 1).reshape(4, _OBJECTS)
  ids = jnp.where(rooms.exists[:, None], ids, 0).reshape(-1)
  return Scene(
    boxes=flatten(keep(boxes, rooms.exists[:, None])),
    rounds=flatten(keep(rounds, rooms.exists[:, None])),
    movers=walker,
    lighting=_lighting(lamps, rooms, split),
    curves=curves,
    eye_m=jax.random.uniform(eye, (), minval=1.35, maxval=1.65),
    objects=jnp.append(ids, walker.object_id * walker.exists),
  )


_OBJECTS = 13  # a room: 4 at walls, 4 in corners, a table and 4 chairs


def make_layout(key: Key[Array, '']) -> tuple[Room, Float[Array, '2']]:
  """Rooms `[4]`, and x and z of the walls between them."""
  count, size, door, height = jax.random.split(key, 4)
  count = jax.random.randint(count, (), 1, 5)
  size = jax.random.uniform(size, (2, 2), minval=4.2, maxval=6.2)
  x, z = jnp.arange(4) % 2, jnp.arange(4) // 2
  extent = jnp.stack([size[0][x], size[1][z]], -1)
  corner = jnp.stack([(x - 1) * size[0][0], (z - 1) * size[1][0]], -1)
  corner = jnp.where(jnp.stack([x, z], -1) > 0, 0.0, -extent)
  exists = jnp.array([True, False, False, False]) | (
    jnp.array([0, 2, 4, 3]) <= count
  )
  exists = exists.at[0].set(True)
  across = exists.reshape(2, 2).all(1)  # doors along x, by z
  along = exists.reshape(2, 2).all(0)  # doors along z, by x
  at = jax.random.uniform(door, (2, 2), minval=-0.5, maxval=0.5)
  none = jnp.zeros(4, bool)
  walls = jnp.stack(
    [
      jnp.where(x == 1, across[z], none),
      jnp.where(x == 0, across[z], none),
      jnp.where(z == 1, along[x], none),
      jnp.where(z == 0, along[x], none),
    ],
    -1,
  )
  half = extent / 2 - WALL_M / 2
  door_at = jnp.stack([at[0][z]] * 2 + [at[1][x]] * 2, -1)
  ring = half - furniture.WALL_DEPTH_M - _BODY_M - 0.02
  rooms = Room(
    centre=corner + extent / 2,
    half=half,
    exists=exists,
    door=walls,
    door_at=door_at * jnp.minimum(1.0, ring.min()),
    height=jnp.broadcast_to(
      jax.random.uniform(height, (), minval=2.45, maxval=2.8), (4,)
    ),
    middle=ring.min(-1) - _BODY_M - 0.05,
    ring=ring,
  )
  return rooms, jnp.zeros(2)


def _furnish(key, room: Room, index):
  """All solids of one room."""
  shell, walls, corners, middle, decor = jax.random.split(key, 5)
  boxes = [_shell(shell, room)]
  rounds = []
  at_walls = jax.vmap(_wall_piece, in_axes=(0, None, 0))
  first = 1 + index * _OBJECTS
  solids = at_walls(jax.random.split(walls, 4), room, jnp.arange(4))
  ids = first + jnp.arange(4)[:, None]
  boxes.append(flatten(label(solids[0], ids)))
  rounds.append(flatten(label(solids[1], ids)))
  solids = jax.vmap(_corner_piece, in_axes=(0, None, 0))(
    jax.random.split(corners, 4), room, jnp.arange(4)
  )
  rounds.append(flatten(label(solids, ids + 4)))
  boxes += _middle(middle, room, first + 8)
  boxes.append(
    flatten(
      jax.vmap(_decor, in_axes=(0, None, 0))(
        jax.random.split(decor, 4), room, jnp.arange(4)
      )
    )
  )
  lamp = material((1.0, 0.97, 0.9), noise=0.0, glow=1.0)
  x, z = room.centre
  rounds.append(
    stack(
      [
        solid(
          lamp,
          (x - 0.2, room.height - 0.14, z - 0.2),
          (x + 0.2, room.height + 0.1, z + 0.2),
        )
      ]
    )
  )
  return join(boxes), join(rounds)


def _shell(key, room: Room) -> Solids:
  """Floor, ceiling and four walls with skirting, doors and their frames."""
  a, b, c = jax.random.split(key, 3)
  (x, z), (hx, hz) = room.centre, room.half
  ceiling = material((0.93, 0.92, 0.9), noise=0.03, grain=(1.0, 1.0))
  reach = WALL_M / 2
  lo, hi = (x - hx - reach, z - hz - reach), (x + hx + reach, z + hz + reach)
  flat = lambda made_of, low, high: solid(
    made_of, (lo[0], low, lo[1]), (hi[0], high, hi[1])
  )
  boxes = [
    flat(palettes.floor(a), -_FLOOR_M, 0.0),
    flat(ceiling, room.height, room.height + _FLOOR_M),
  ]
  wall, frame = (
    palettes.wall(b),
    palettes.choose(c, [palettes.paint(c), palettes.wood(c)]),
  )
  for side in range(4):
    boxes += _wall(wall, frame, room, side)
  return stack(boxes)


def _wall(wall, frame, room: Room, side: int) -> list[Solids]:
  """A wall from x = left to right in its own axes, its face at z = 0."""
  reach = room.half[1 if side < 2 else 0] + WALL_M / 2
  sign = (-1.0, 1.0, 1.0, -1.0)[side]  # own x against the door's axis
  at, has = sign * room.door_at[side], room.door[side]
  left = jnp.where(has, at - DOOR_HALF_M, reach)
  right = at + DOOR_HALF_M
  back, top = -WALL_M / 2, room.height
  trim = lambda lo, hi: solid(frame, lo, hi, exists=has)
  skirting = lambda lo, hi, exists: solid(
    frame, (lo, 0, 0), (hi, 0.09, 0.015), exists=exists
  )
  pieces = [
    solid(wall, (-reach, 0, back), (left, top, 0)),
    solid(wall, (right, 0, back), (reach, top, 0), exists=has),
    solid(wall, (left, DOOR_TOP_M, back), (right, top, 0), exists=has),
    trim((left - 0.08, 0, back), (left + 0.02, DOOR_TOP_M + 0.08, 0.03)),
    trim((right - 0.02, 0, back), (right + 0.08, DOOR_TOP_M + 0.08, 0.03)),
    trim((left, DOOR_TOP_M - 0.02, back), (right, DOOR_TOP_M + 0.08, 0.03)),
    skirting(-reach, left, True),
    skirting(right, reach, has),
  ]
  return [_against(p, room, side, 0.0) for p in pieces]


def _against(solids: Solids, room: Room, side, shift) -> Solids:
  """Moves solids from a wall's own axes to the wall; `shift` along own x."""
  yaw = jnp.array(_YAWS)[side]
  c, s = jnp.cos(yaw), jnp.sin(yaw)
  out = jnp.where(jnp.asarray(side) < 2, room.half[0], room.half[1])
  x = room.centre[0] + c * shift - s * out
  z = room.centre[1] - s * shift - c * out
  return place(solids, jnp.stack([x, jnp.zeros_like(x), z]), yaw)


def _free_span(room: Room, side):
  """The longest span of a wall, in own x, that no door or corner needs."""
  reach = jnp.where(jnp.asarray(side) < 2, room.half[1], room.half[0])
  reach = reach - furniture.WALL_DEPTH_M - 0.05
  sign = jnp.array([-1.0, 1.0, 1.0, -1.0])[side]
  at, has = sign * room.door_at[side], room.door[side]
  gap = DOOR_HALF_M + 0.12
  left = (at - gap) + reach
  right = reach - (at + gap)
  low = jnp.where(has & (right >= left), at + gap, -reach)
  high = jnp.where(has & (right < left), at - gap, reach)
  return low, high


def _wall_piece(key, room: Room, side):
  which, where, piece = jax.random.split(key, 3)
  low, high = _free_span(room, side)
  width = high - low
  kind = jax.random.randint(which, (), 0, len(furniture.WALL_PIECES))
  boxes, rounds = furniture.wall_piece(piece, kind, width - 0.06)
  span = jnp.abs(boxes.centre[:, 0]) + boxes.half[:, 0]
  span = jnp.where(boxes.half[:, 0] > 0, span, 0.0).max()
  slack = jnp.maximum(width / 2 - span - 0.02, 0.0)
  shift = (low + high) / 2
  shift += slack * jax.random.uniform(where, (), minval=-1.0, maxval=1.0)
  fits = width > 1.1
  return tuple(
    keep(_against(s, room, side, shift), fits) for s in (boxes, rounds)
  )


def _corner_piece(key, room: Room, corner):
  exists, piece = jax.random.split(key)
  _, rounds = furniture.corner_piece(piece)
  sign = jnp.stack([corner % 2, corner // 2]) * 2 - 1
  at = room.centre + sign * (room.half - furniture.CORNER_M / 2 - 0.03)
  rounds = place(rounds, jnp.stack([at[0], jnp.float32(0), at[1]]))
  return keep(rounds, jax.random.bernoulli(exists, 0.45))


def _middle(key, room: Room, first_id) -> list[Solids]:
  """A rug, and a table with chairs or a low one."""
  which, a, b, turn = jax.random.split(key, 4)
  radius = jnp.minimum(room.middle, 1.3)
  yaw = jax.random.uniform(turn, (), maxval=2 * jnp.pi)
  at = jnp.stack([room.centre[0], jnp.float32(0), room.centre[1]])
  groups, large = furniture.dining(a, radius)
  seats = jax.random.bernoulli(which, 0.8, (5,)).at[0].set(True)
  carpet = furniture.rug(b, radius * 0.8, radius * 0.6)
  out = [place(carpet, at, yaw)]
  for i, group in enumerate(groups):
    group = keep(group, seats[i] & (large if i else True))
    out.append(label(place(group, at, yaw), first_id + i))
  return out


def _decor(key, room: Room, side):
  """A picture or, in outer walls, a window: 4 boxes."""
  kind, where, size, art = jax.random.split(key, 4)
  low, high = _free_span(room, side)
  outer = ~room.door[side]
  half = jax.random.uniform(size, (), minval=0.25, maxval=0.5)
  picture = furniture.picture(art, half, 1.45, 1.45 + 1.5 * half)
  picture = join([picture, stack([], 3)])
  wide = jnp.minimum((high - low) / 2 - 0.3, 0.75)
  window = furniture.window(wide, 1.0, 2.1)
  is_window = outer & jax.random.bernoulli(kind, 0.35) & (wide > 0.4)
  solids = jax.tree.map(
    lambda a, b: jnp.where(is_window, a, b), window, picture
  )
  shift = (low + high) / 2
  shift += (
    0.3
    * jax.random.uniform(where, (), minval=-1.0, maxval=1.0)
    * (high - low - 2 * half)
    * ~is_window
  )
  return _against(solids, room, side, shift)


def _lighting(key, rooms: Room, split) -> Lighting:
  warm = jax.random.uniform(key, (4, 1), minval=-0.05, maxval=0.09)
  colour = 1.0 + warm * jnp.array([1.0, 0.1, -1.4])
  x, z = rooms.centre[:, 0], rooms.centre[:, 1]
  return Lighting(
    split=split,
    lamp=jnp.stack([x, 0.35 - rooms.height, z], -1),
    lamp_colour=0.95 * colour,
    ambient=jnp.array([0.46, 0.47, 0.49]),
    sun=jnp.array([0.0, -1.0, 0.0]),
    sun_colour=jnp.zeros(3),
  )


def _person(key, curves, exists: bool) -> Movers:
  route, phase, speed, height, looks = jax.random.split(key, 5)
  weights = curves.exists * curves.length
  route = jax.random.categorical(route, jnp.log(weights + 1e-9))
  return Movers(
    points=curves.points[route][None],
    length=curves.length[route][None],
    phase=jax.random.uniform(phase, (1,)),
    speed=jax.random.uniform(speed, (1,), minval=0.6, maxval=1.1),
    height=jax.random.uniform(height, (1,), minval=1.55, maxval=1.85),
    colours=palettes.person(looks)[None],
    object_id=jnp.array([4 * _OBJECTS + 1], jnp.int32),
    exists=jnp.array([exists]),
  )
