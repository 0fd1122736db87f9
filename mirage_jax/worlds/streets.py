"""A block of houses with streets on all sides.

The block's buildings fill `[-x, x] x [-z, z]`; round them run a pavement, a
road, and the pavements and buildings of the blocks opposite.
"""

import jax
import jax.numpy as jnp
import numpy as np

from mirage_jax.arrays import Array, Float, Key
from mirage_jax.worlds import exteriors, palettes, routes
from mirage_jax.worlds.config import WorldConfig
from mirage_jax.worlds.movers import Movers
from mirage_jax.worlds.scenes import Curves, Scene
from mirage_jax.worlds.shading import Lighting
from mirage_jax.worlds.solids import Solids, flatten, join, keep, label, place
from mirage_jax.worlds.templates import build, select

_WALK_M, _ROAD_M = 3.6, 7.0
_INNER, _OUTER = 3, 4  # buildings along a side of the block, and opposite
_STANDING = 12  # trees, lamps and bins along a side, both pavements together
_PEOPLE, _CARS = 8, 6
# Objects of a clip: what stands on four sides, with a bench each, and movers.
SLOTS = 4 * (_STANDING + 1) + _PEOPLE + _CARS
_PATH_M = 1.7  # of cameras and people, from the buildings
_TURNS = np.float32([0, np.pi / 2, np.pi, -np.pi / 2])  # sides: +z, +x, -z, -x


def make_streets(key: Key[Array, ''], config: WorldConfig) -> Scene:
  """A block with its streets and, with `config.movers`, cars and people."""
  u = jax.random.uniform(key, (4, 512))
  half = 9.0 + 5.0 * u[0, :2]
  sides = jnp.arange(4)
  houses = jax.vmap(lambda u, i: _side(u, i, half))(u[:, 16:216], sides)
  things = jax.vmap(lambda u, i: _standing(u, i, half))(u[:, 216:396], sides)
  ids = 1 + jnp.arange(4 * (_STANDING + 1), dtype=jnp.int32).reshape(4, -1)
  rounds = label(things, ids[:, :-1, None])
  benches = jax.vmap(lambda u, i: _bench(u, i, half))(u[:, 396:410], sides)
  benches = label(benches, ids[:, -1:])
  ground = build(
    exteriors.GROUND, exteriors.ground_palette(u[0, 2:8]), half[0], half[1],
    _WALK_M, _ROAD_M,
  )  # fmt: skip
  return Scene(
    boxes=join([ground, flatten(houses, 3), flatten(benches)]),
    rounds=flatten(rounds, 3),
    movers=_movers(u[:, 410:], half, 4 * (_STANDING + 1), config.movers),
    lighting=_lighting(u[1, :4]),
    curves=_curves(half),
    eye_m=exteriors.KERB_M + 1.5 + 0.25 * u[2, 0],
    objects=ids.reshape(-1),
  )


def _at_side(solids: Solids, side, along, out, half) -> Solids:
  """Moves solids that look along z to `out` metres from a side of the block."""
  yaw = jnp.asarray(_TURNS)[side]
  c, s = jnp.cos(yaw), jnp.sin(yaw)
  z = jnp.where(side % 2 == 0, half[1], half[0]) + out
  at = [c * along + s * z, jnp.float32(-exteriors.KERB_M), c * z - s * along]
  return place(solids, jnp.stack(at), yaw)


def _reach(half, side):
  """Half the length of a side of the block."""
  return jnp.where(side % 2 == 0, half[0], half[1])


def _side(u, side, half) -> Solids:
  """The buildings of a side and those opposite: `[n, p]`."""
  reach = _reach(half, side)
  across = _WALK_M + _ROAD_M + _WALK_M
  wide = reach + _WALK_M
  widths = [reach / _INNER] * _INNER + [wide / _OUTER] * _OUTER + [8.0]
  along = [reach * (2 * i + 1 - _INNER) / _INNER for i in range(_INNER)]
  along += [wide * (2 * i + 1 - _OUTER) / _OUTER for i in range(_OUTER)]
  along.append(reach + across + 8.0)
  out = [0.0] * _INNER + [across] * (_OUTER + 1)
  turn = [0.0] * _INNER + [np.pi] * (_OUTER + 1)

  def one(u, half_width, along, out, turn):
    building = _building(u, half_width)
    building = place(building, jnp.zeros(3), turn)
    return _at_side(building, side, along, out, half)

  count = len(widths)
  arrays = [jnp.stack([jnp.float32(x) for x in xs]) for xs in (widths, along)]
  arrays += [np.float32(out), np.float32(turn)]
  return jax.vmap(one)(u[: count * 25].reshape(count, 25), *arrays)


def _building(u, half) -> Solids:
  height = exteriors.STOREY_M * jnp.floor(2 + 4.0 * u[0] + 0.3)
  door = (u[1] - 0.5) * half
  palette = exteriors.building_palette(u[5:], half, height)
  building = build(exteriors.BUILDING, palette, half, 7.0, height, door)
  group = exteriors.BUILDING.group
  shop = u[2] < 0.55
  present = (group == 0) | ((group == 1) & shop) | ((group == 3) & (u[3] < 0.4))
  present |= (group == 2) & shop & (u[4] < 0.6)
  return keep(building, present)


def _standing(u, side, half) -> Solids:
  """Trees, lamps and bins along both kerbs of a side: `[n, p]`."""
  reach = _reach(half, side)
  each = _STANDING // 2
  slot = np.tile(np.linspace(-1, 1, each), 2).astype(np.float32)
  edge = _WALK_M - 0.45
  out = np.repeat([edge, _WALK_M + _ROAD_M + 0.45], each).astype(np.float32)
  kind = np.tile(np.array([0, 1, 0, 2, 1, 0]), 2)

  def one(u, slot, out, kind):
    shape = select(exteriors.STANDING, kind)
    palette = exteriors.furniture_palette(u[3:])
    solids = build(shape, palette, 0.9 * u[0], 0.9 + 0.45 * u[1])
    solids = place(solids, jnp.zeros(3), 6.28 * u[2])
    along = slot * (reach - 1.0)
    return _at_side(solids, side, along, out, half)

  return jax.vmap(one)(u.reshape(_STANDING, -1), slot, out, kind)


def _bench(u, side, half) -> Solids:
  bench = build(exteriors.BENCH, exteriors.furniture_palette(u[1:]))
  along = (u[0] - 0.5) * _reach(half, side)
  return _at_side(bench, side, along, 0.3, half)


def _ring(half, out, radius) -> Float[Array, 'k 2']:
  """A rectangle with round corners, `out` metres outside the block."""
  angle = np.linspace(0, np.pi / 2, 9)
  arc = radius * np.stack([np.cos(angle), np.sin(angle)], -1)
  corner = half + out - radius
  quarters = []
  for turn in range(4):
    c, s = round(np.cos(turn * np.pi / 2)), round(np.sin(turn * np.pi / 2))
    rotate = np.float32([[c, s], [-s, c]])
    sign = np.float32([[1, 1], [-1, 1], [-1, -1], [1, -1]])[turn]
    quarters.append(corner * sign + arc @ rotate)
  return jnp.concatenate(quarters)


def _curves(half) -> Curves:
  """Round the block, the blocks opposite, and over the road and back."""
  opposite = _WALK_M + _ROAD_M + _WALK_M - _PATH_M
  ring, outer = _ring(half, _PATH_M, 1.0), _ring(half, opposite, 1.0)
  x = 0.2 * (half[0] - 1.0)
  low, high = half[1] + _PATH_M, half[1] + opposite
  over = jnp.stack([-x, low, x, low, x, high, -x, high]).reshape(4, 2)
  curves = [routes.even(points) for points in (ring, outer, over)]
  trail, length = routes.even(ring[:-8], closed=False)
  return Curves(
    points=jnp.stack([points for points, _ in curves]),
    length=jnp.stack([length for _, length in curves]),
    exists=jnp.ones(3, bool),
    trail=trail,
    trail_length=length,
  )


def _movers(u, half, first_id: int, exist: bool) -> Movers:
  """People on the pavements, then cars on both lanes."""
  count = _PEOPLE + _CARS
  opposite = _WALK_M + _ROAD_M + _WALK_M
  lane = _WALK_M + _ROAD_M / 2
  rings = [
    (_PATH_M - 0.6, 0.8), (_PATH_M + 0.6, 0.8), (opposite - _PATH_M, 0.8),
    (lane - 1.75, 4.0), (lane + 1.75, 6.0),
  ]  # fmt: skip
  curves = [routes.even(_ring(half, *ring)) for ring in rings]
  points = jnp.stack([points for points, _ in curves])
  points = jnp.concatenate([points, points[:, ::-1]])
  length = jnp.stack([length for _, length in curves] * 2)
  # A lane each way, and as many people one way as the other.
  route = np.array([0, 5, 1, 6, 0, 6, 2, 7, 3, 9, 3, 9, 3, 9])
  draw = u.reshape(-1)[: count * 16].reshape(count, 16)
  walks = np.arange(count) < _PEOPLE
  rank = np.where(walks, np.arange(count) * 2, np.arange(count) // 2)
  phase = rank / np.where(walks, count, _CARS / 2) + 0.2 * draw[:, 0]
  people, cars = palettes.person(draw[:, 4:]), palettes.car(draw[:, 4:])
  return Movers(
    points=points[route],
    length=length[route],
    phase=phase,
    speed=jnp.where(walks, 0.9 + 0.6 * draw[:, 1], 5.0),
    height=jnp.where(walks, 1.55 + 0.3 * draw[:, 2], 1.45),
    lift=jnp.where(walks, exteriors.KERB_M, 0.0),
    colours=jnp.where(walks[:, None, None], people, cars),
    object_id=first_id + 1 + jnp.arange(count, dtype=jnp.int32),
    exists=jnp.full(count, exist),
    cars=_CARS,
  )


def _lighting(u) -> Lighting:
  angle, high = 2 * jnp.pi * u[0], 0.6 + 0.4 * u[1]
  flat = jnp.cos(high)
  sun = jnp.stack(
    [flat * jnp.cos(angle), -jnp.sin(high), flat * jnp.sin(angle)]
  )
  warm = np.float32([1.0, 0.96, 0.88])
  return Lighting(
    split=jnp.zeros(2),
    lamp=jnp.zeros((4, 3)),
    lamp_colour=jnp.zeros((4, 3)),
    ambient=jnp.array([0.56, 0.6, 0.66]),
    sun=sun,
    sun_colour=0.75 * warm,
  )
