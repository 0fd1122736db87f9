"""Things that move along closed curves: walking people and driving cars."""

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np

from mirage_jax.arrays import Array, Bool, Float, Int
from mirage_jax.worlds.solids import (
  Solids,
  keep,
  label,
  material,
  place,
  stack,
)
from mirage_jax.worlds.templates import Part, build, template

_STRIDE_M = 1.3  # two steps


@flax.struct.dataclass
class Movers:
  """People and then cars, each on a closed curve.

  Attributes:
    points: `[m, k, 2]` the curves, x and z.
    length: `[m]` metres.
    phase: `[m]` where on the curve at time 0, in rounds.
    speed: `[m]` metres per second.
    height: `[m]` metres.
    lift: `[m]` height of the ground it is on, metres.
    colours: `[m, 4, 3]` of skin, hair, shirt and trousers, or of paint, glass,
      tyres and lights.
    object_id: `[m]`.
    exists: `[m]`.
    cars: how many are cars; static.
  """

  points: Float[Array, 'm k 2']
  length: Float[Array, ' m']
  phase: Float[Array, ' m']
  speed: Float[Array, ' m']
  height: Float[Array, ' m']
  lift: Float[Array, ' m']
  colours: Float[Array, 'm 4 3']
  object_id: Int[Array, ' m']
  exists: Bool[Array, ' m']
  cars: int = flax.struct.field(pytree_node=False, default=0)


def mover_state(
  movers: Movers, time_s: Float[Array, '']
) -> tuple[Float[Array, 'm 3'], Float[Array, ' m']]:
  """Centres (world, metres) and yaws of all movers."""

  def one(points, length, phase, speed, height, lift):
    share = phase + speed * time_s / length
    position = _smooth(points, share)
    ahead = _smooth(points, share + 0.15 / length) - _smooth(
      points, share - 0.15 / length
    )
    centre = jnp.stack([position[0], -height / 2 - lift, position[1]])
    return centre, jnp.arctan2(ahead[0], ahead[1])

  return jax.vmap(one)(
    movers.points,
    movers.length,
    movers.phase,
    movers.speed,
    movers.height,
    movers.lift,
  )


def _smooth(points, share):
  """A point of a closed curve by a quadratic B-spline: smooth in `share`."""
  count = points.shape[0]
  at = (share - jnp.floor(share)) * count
  low = jnp.floor(at).astype(jnp.int32) % count
  t = at - jnp.floor(at)
  weights = ((1 - t) ** 2 / 2, 0.5 + t - t * t, t * t / 2)
  parts = [w * points[(low + i) % count] for i, w in enumerate(weights)]
  return parts[0] + parts[1] + parts[2]


def mover_solids(
  movers: Movers, time_s: Float[Array, '']
) -> list[tuple[Solids, Solids]]:
  """Boxes `[n, p]` and rounds `[n, q]` of people, then of cars."""
  centre, yaw = mover_state(movers, time_s)
  ground = jnp.asarray(centre).at[:, 1].set(-movers.lift)[:, None]
  travelled = movers.phase * movers.length + movers.speed * time_s
  stride = 2 * jnp.pi * travelled / _STRIDE_M
  people = movers.exists.shape[0] - movers.cars

  def put(solids, some):
    solids = place(solids, ground[some], yaw[some, None])
    solids = label(solids, movers.object_id[some, None], True)
    return keep(solids, movers.exists[some, None])

  some = slice(0, people)
  walking = jax.vmap(_person)(
    movers.height[some], movers.colours[some], stride[some]
  )
  walking = put(walking, some)
  out = [(jax.tree.map(lambda x: x[:, :0], walking), walking)]
  if movers.cars:
    some = slice(people, None)
    driving = jax.vmap(_car)(movers.colours[some])
    out.append(tuple(put(solids, some) for solids in driving))
  return out


_PAINT, _GLASS, _TYRE, _LIGHT, _TAIL = range(5)


def _bodywork():
  return [
    Part(_PAINT, (-0.86, 0.32, -2.1), (0.86, 0.82, 2.1)),
    Part(_PAINT, (-0.82, 0.82, -1.95), (0.82, 0.92, 1.1)),
    Part(_GLASS, (-0.76, 0.9, -1.55), (0.76, 1.36, 0.75)),
    Part(_PAINT, (-0.78, 1.34, -1.4), (0.78, 1.45, 0.5)),
    Part(_LIGHT, (-0.78, 0.55, 2.0), (0.78, 0.7, 2.12)),
    Part(_TAIL, (-0.8, 0.6, -2.12), (0.8, 0.75, -2.0)),
    Part(_TYRE, (-0.8, 0.2, -2.0), (0.8, 0.35, 2.0)),
  ]


def _wheels():
  tyres = [
    Part(_TYRE, (x - 0.12, 0, z - 0.33), (x + 0.12, 0.66, z + 0.33))
    for x in (-0.8, 0.8)
    for z in (-1.3, 1.3)
  ]
  hubs = [
    Part(_LIGHT, (x - 0.13, 0.2, z - 0.13), (x + 0.13, 0.46, z + 0.13))
    for x in (-0.8, 0.8)
    for z in (-1.3, 1.3)
  ]
  return tyres + hubs


_BODYWORK, _WHEELS = template(_bodywork, 0), template(_wheels, 0)


def _car(colours) -> tuple[Solids, Solids]:
  """A car at the origin, facing z."""
  colours = jnp.concatenate([colours, np.float32([[0.7, 0.1, 0.1]])])
  plain = [material(colour, noise=0.03) for colour in colours]
  palette = stack(plain)
  return build(_BODYWORK, palette), build(_WHEELS, palette)


# A person one metre tall: centre (x, height, z), half extents, clothes.
_TRUNK = [
  ((0, 0.70, 0), (0.115, 0.155, 0.075), 2),
  ((0, 0.54, 0), (0.1, 0.075, 0.075), 3),
  ((0, 0.93, 0.005), (0.048, 0.066, 0.056), 0),
  ((0, 0.952, -0.012), (0.052, 0.054, 0.056), 1),
]
# Limbs: left and right leg, left and right arm.
_JOINT = np.float32(
  [[-0.05, 0.53, 0], [0.05, 0.53, 0], [-0.135, 0.8, 0], [0.135, 0.8, 0]]
)
_SWING = np.float32([1, -1, -1, 1])
_UPPER = np.float32([0.25, 0.25, 0.17, 0.17])
_LOWER = np.float32([0.25, 0.25, 0.16, 0.16])
_RADIUS = np.float32([[0.06, 0.06, 0.036, 0.036], [0.043, 0.043, 0.027, 0.027]])
_CLOTHES = [part[2] for part in _TRUNK] + [3, 3, 2, 2, 3, 3, 0, 0, 4, 4]
_SHOE = np.float32([0.035, 0.022, 0.07])


def _person(height, colours, stride) -> Solids:
  """A walking person at the origin, facing z: 14 rounds."""
  upper = _SWING * 0.5 * jnp.sin(stride)
  bend = 0.25 + 0.35 * jnp.maximum(0, -_SWING * jnp.cos(stride))
  lower = jnp.where(np.arange(4) < 2, upper - bend, upper + 0.4)
  middle = _hang(_JOINT, upper, _UPPER)
  end = _hang(middle, lower, _LOWER)
  shoes = end[:2] * np.float32([1, 0, 1]) + np.float32([0, 0.022, 0.02])
  limb = lambda r, length: jnp.stack([r, length * 0.56, r], -1)
  parts = jnp.concatenate
  centre = parts(
    [
      np.float32([p[0] for p in _TRUNK]),
      (_JOINT + middle) / 2,
      (middle + end) / 2,
      shoes,
    ]
  )
  half = parts(
    [
      np.float32([p[1] for p in _TRUNK]),
      limb(_RADIUS[0], _UPPER),
      limb(_RADIUS[1], _LOWER),
      np.stack([_SHOE, _SHOE]),
    ]
  )
  zero = jnp.zeros(len(_CLOTHES))
  worn = parts([colours, jnp.full((1, 3), 0.11)])[np.array(_CLOTHES)]
  cloth = material((0.0, 0.0, 0.0), noise=0.05)
  cloth = jax.tree.map(
    lambda x: jnp.broadcast_to(x, (len(_CLOTHES), *x.shape)), cloth
  )
  return Solids(
    centre=centre * height * np.float32([1, -1, 1]),
    half=half * height,
    yaw=zero,
    tilt=parts([zero[:4], upper, lower, zero[:2]]),
    upright=zero,
    object_id=zero.astype(jnp.int32),
    dynamic=zero > 0,
    material=cloth.replace(colour=worn, line_colour=worn),
  )


def _hang(start, angle, length):
  """Ends `[n, 3]` of limbs that hang from `start`, swung by `angle`."""
  step = jnp.stack([0 * angle, -jnp.cos(angle), jnp.sin(angle)], -1)
  return start + length[:, None] * step
