"""Closed curves through rooms and their doors."""

import jax
import jax.numpy as jnp
import numpy as np

from mirage_jax.arrays import Array, Float
from mirage_jax.worlds.scenes import Curves

_POINTS = 256
_ARC = 40
# The tour of 1, 2, 3 or 4 rooms: (room, wall it comes from, wall it leaves by);
# equal walls mean once round, and -1 that nothing is left to walk.
_TOURS = np.array(
  [
    [(0, 1, 1), (-1, 0, 0), (-1, 0, 0), (-1, 0, 0)],
    [(0, 1, 1), (1, 0, 0), (-1, 0, 0), (-1, 0, 0)],
    [(0, 1, 1), (1, 0, 3), (3, 2, 2), (1, 3, 0)],
    [(0, 3, 1), (1, 0, 3), (3, 2, 0), (2, 1, 2)],
  ]
)
# The same for a walk that never comes back: from wall to wall.
_TRAILS = np.array(
  [
    [(0, 0, 1), (-1, 0, 0), (-1, 0, 0), (-1, 0, 0)],
    [(0, 0, 1), (1, 0, 1), (-1, 0, 0), (-1, 0, 0)],
    [(0, 0, 1), (1, 0, 3), (3, 2, 3), (-1, 0, 0)],
    [(0, 0, 1), (1, 0, 3), (3, 2, 0), (2, 1, 0)],
  ]
)


def room_curves(rooms) -> Curves:
  """The ellipse of every room, and a tour of all rooms: `[5]`."""
  angle = 2 * jnp.pi * jnp.arange(_POINTS) / _POINTS
  circle = jnp.stack([jnp.cos(angle), jnp.sin(angle)], -1)
  ellipses = rooms.centre[:, None] + rooms.ring[:, None] * circle
  points, length = jax.vmap(even)(ellipses)
  tour, trail = jax.vmap(lambda stops: _walk(rooms, stops))(
    np.stack([_TOURS, _TRAILS])
  )
  tour, tour_length = even(tour)
  # In a single room, most of the way round.
  most = even(ellipses[0, : _POINTS * 4 // 5], trail.shape[0], closed=False)[0]
  trail = jnp.where(rooms.exists.sum() > 1, trail, most)
  trail, trail_length = even(trail, closed=False)
  return Curves(
    points=jnp.concatenate([points, tour[None]]),
    length=jnp.append(length, tour_length),
    exists=jnp.append(rooms.exists, rooms.exists.sum() > 1),
    trail=trail,
    trail_length=trail_length,
  )


def _walk(rooms, stops) -> Float[Array, 'k 2']:
  """The walk over `stops` of as many rooms as there are."""
  stops = jnp.asarray(stops)[rooms.exists.sum() - 1]
  chosen = jax.tree.map(lambda x: x[jnp.maximum(stops[:, 0], 0)], rooms)
  pieces = jax.vmap(_through)(chosen, stops[:, 1], stops[:, 2])  # [4, k, 2]
  last = pieces[jnp.sum(stops[:, 0] >= 0) - 1, -1]
  pieces = jnp.where((stops[:, 0] >= 0)[:, None, None], pieces, last)
  return pieces.reshape(-1, 2)


def _through(room, enter, leave):
  """Points from a door along the ellipse to another door of a room."""
  start, end = _door_angle(room, enter), _door_angle(room, leave)
  turn = (end - start) % (2 * jnp.pi)
  turn = jnp.where(turn > jnp.pi, turn - 2 * jnp.pi, turn)
  turn = jnp.where(enter == leave, 2 * jnp.pi, turn)
  angle = start + turn * jnp.linspace(0, 1, _ARC)
  arc = jnp.stack([jnp.cos(angle), jnp.sin(angle)], -1) * room.ring
  arc = room.centre + arc
  return jnp.concatenate(
    [_door(room, enter)[None], arc, _door(room, leave)[None]]
  )


def _door(room, side):
  """The middle of a door; without one, the nearest point of the ellipse."""
  at = room.door_at[side]
  sign = jnp.where(side % 2 == 0, -1.0, 1.0)
  out = sign * (room.half + 0.06)
  door = room.centre + jnp.where(
    side < 2, jnp.stack([out[0], at]), jnp.stack([at, out[1]])
  )
  angle = _door_angle(room, side)
  ring = room.centre + room.ring * jnp.stack([jnp.cos(angle), jnp.sin(angle)])
  return jnp.where(room.door[side], door, ring)


def _door_angle(room, side):
  """Finds the angle on the ellipse at which a door lies straight ahead."""
  at = jnp.clip(
    room.door_at[side] / room.ring[jnp.where(side < 2, 1, 0)], -1, 1
  )
  up = jnp.where(side < 2, jnp.arcsin(at), jnp.pi / 2 - jnp.arcsin(at))
  mirrored = jnp.where(side < 2, jnp.pi - up, -up)
  return jnp.where(side % 2 == 0, mirrored, up)


def even(
  points: Float[Array, 'n 2'], count: int = _POINTS, closed: bool = True
) -> tuple[Float[Array, 'k 2'], Float[Array, '']]:
  """A polyline resampled evenly, and its length."""
  if closed:
    points = jnp.concatenate([points, points[:1]])
  steps = jnp.linalg.norm(jnp.diff(points, axis=0), axis=-1)
  at = jnp.concatenate([jnp.zeros(1), jnp.cumsum(steps)])
  where = at[-1] * jnp.arange(count) / (count if closed else count - 1)
  out = [jnp.interp(where, at, points[:, i]) for i in range(2)]
  return jnp.stack(out, -1), at[-1]
