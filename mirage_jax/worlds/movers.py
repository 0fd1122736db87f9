"""Things that move along closed curves: walking people and driving cars."""

import flax.struct
import jax
import jax.numpy as jnp

from mirage_jax.arrays import Array, Bool, Float, Int
from mirage_jax.worlds.solids import (
  Solids,
  flatten,
  keep,
  label,
  material,
  place,
  solid,
  stack,
)

_STRIDE_M = 1.3  # two steps


@flax.struct.dataclass
class Movers:
  """People, each on a closed curve.

  Attributes:
    points: `[m, k, 2]` the curves, x and z.
    length: `[m]` metres.
    phase: `[m]` where on the curve at time 0, in rounds.
    speed: `[m]` metres per second.
    height: `[m]` metres.
    colours: `[m, 4, 3]` of skin, hair, shirt and trousers.
    object_id: `[m]`.
    exists: `[m]`.
  """

  points: Float[Array, 'm k 2']
  length: Float[Array, ' m']
  phase: Float[Array, ' m']
  speed: Float[Array, ' m']
  height: Float[Array, ' m']
  colours: Float[Array, 'm 4 3']
  object_id: Int[Array, ' m']
  exists: Bool[Array, ' m']


def mover_state(
  movers: Movers, time_s: Float[Array, '']
) -> tuple[Float[Array, 'm 3'], Float[Array, ' m']]:
  """Centres (world, metres) and yaws of all movers."""

  def one(points, length, phase, speed, height):
    share = phase + speed * time_s / length
    position = _smooth(points, share)
    ahead = _smooth(points, share + 0.15 / length) - _smooth(
      points, share - 0.15 / length
    )
    centre = jnp.stack([position[0], -height / 2, position[1]])
    return centre, jnp.arctan2(ahead[0], ahead[1])

  return jax.vmap(one)(
    movers.points, movers.length, movers.phase, movers.speed, movers.height
  )


def _smooth(points, share):
  """A point of a closed curve by a quadratic B-spline: smooth in `share`."""
  count = points.shape[0]
  at = (share - jnp.floor(share)) * count
  low = jnp.floor(at).astype(jnp.int32) % count
  t = at - jnp.floor(at)
  weights = ((1 - t) ** 2 / 2, 0.5 + t - t * t, t * t / 2)
  return sum(w * points[(low + i) % count] for i, w in enumerate(weights))


def mover_rounds(
  movers: Movers, time_s: Float[Array, '']
) -> tuple[Solids, Solids]:
  """Boxes and rounds of all movers at a time."""
  centre, yaw = mover_state(movers, time_s)
  travelled = movers.phase * movers.length + movers.speed * time_s
  stride = 2 * jnp.pi * travelled / _STRIDE_M
  people = jax.vmap(_person)(movers.height, movers.colours, stride)
  ground = centre.at[:, 1].set(0.0)[:, None]
  people = place(people, ground, yaw[:, None])
  people = label(people, movers.object_id[:, None], True)
  people = flatten(keep(people, movers.exists[:, None]))
  return jax.tree.map(lambda x: x[:0], people), people


def _person(height, colours, stride) -> Solids:
  """A walking person at the origin, facing z."""
  skin, hair, shirt, trousers = (material(c, noise=0.05) for c in colours)
  shoes = material((0.12, 0.1, 0.1), noise=0.0)
  swing = 0.5 * jnp.sin(stride)
  parts = [
    _ball(shirt, (0, 0.70, 0), (0.115, 0.155, 0.075)),
    _ball(trousers, (0, 0.54, 0), (0.1, 0.075, 0.075)),
    _ball(skin, (0, 0.93, 0.005), (0.048, 0.066, 0.056)),
    _ball(hair, (0, 0.952, -0.012), (0.052, 0.054, 0.056)),
  ]
  for side, sign in ((-1, 1.0), (1, -1.0)):
    angle = sign * swing
    bend = 0.25 + 0.35 * jnp.maximum(0, -sign * jnp.cos(stride))
    knee = _end((0.05 * side, 0.53, 0), angle, 0.25)
    foot = _end(knee, angle - bend, 0.25)
    parts += [
      _limb(trousers, (0.05 * side, 0.53, 0), knee, angle, 0.06),
      _limb(trousers, knee, foot, angle - bend, 0.043),
      _ball(shoes, (foot[0], 0.022, foot[2] + 0.02), (0.035, 0.022, 0.07)),
    ]
    elbow = _end((0.135 * side, 0.80, 0), -angle, 0.17)
    hand = _end(elbow, 0.4 - angle, 0.16)
    parts += [
      _limb(shirt, (0.135 * side, 0.80, 0), elbow, -angle, 0.036),
      _limb(skin, elbow, hand, 0.4 - angle, 0.027),
    ]
  people = stack(parts)
  return people.replace(
    centre=people.centre * height, half=people.half * height
  )


def _ball(made_of, centre, radius) -> Solids:
  """An ellipsoid at (x, height, z)."""
  lo = [c - r for c, r in zip(centre, radius, strict=True)]
  hi = [c + r for c, r in zip(centre, radius, strict=True)]
  return solid(made_of, lo, hi)


def _end(start, angle, length):
  """Where a limb ends that hangs from `start`, swung forward by `angle`."""
  return (
    start[0],
    start[1] - length * jnp.cos(angle),
    start[2] + length * jnp.sin(angle),
  )


def _limb(made_of, start, end, angle, radius) -> Solids:
  """An ellipsoid from `start` to `end`."""
  middle = [(a + b) / 2 for a, b in zip(start, end, strict=True)]
  length = jnp.hypot(start[1] - end[1], start[2] - end[2])
  limb = _ball(made_of, middle, (radius, length / 2 * 1.12, radius))
  return limb.replace(tilt=angle)
