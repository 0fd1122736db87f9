"""Camera paths through a scene: smooth, bounded, clear of all solids.

A path is a track, a dense polyline of positions and headings along one of the
scene's curves, and a progress over it. Progress is measured in frames that the
bounds on step and turn allow, so any progress of at most 1 a frame keeps both.
"""

import flax.struct
import jax
import jax.numpy as jnp

from mirage_jax.arrays import Array, Float, Key
from mirage_jax.geometry.cameras import Cameras
from mirage_jax.worlds.config import WorldConfig, check_path
from mirage_jax.worlds.scenes import Scene, along

_DENSE = 257
_HEADING_M = 1.1  # headings are averaged over this much of the way, each side


@flax.struct.dataclass
class Track:
  """Where a camera may be, in order.

  Attributes:
    position: `[n, 2]` x and z, metres.
    yaw: `[n]` radians, unwrapped.
    frame: `[n]` the least number of frames to get there.
  """

  position: Float[Array, 'n 2']
  yaw: Float[Array, ' n']
  frame: Float[Array, ' n']


def make_path(
  key: Key[Array, ''], scene: Scene, name: str, config: WorldConfig
) -> Cameras:
  """A camera path `[t]` inside the scene.

  Args:
    key: which of many.
    scene: the world.
    name: one of `config.PATHS`. `out_and_back` turns by 90 degrees or more, or
      walks 3 m or more, and returns to its first pose; `loop` comes back from
      the other side; `random_walk` wanders to and fro; `explore` never comes
      back. Clips of too few frames for that go as far as the bounds allow.
    config: frames, and the bounds on step and turn.

  Raises:
    ValueError: an unknown name.
  """
  make = {
    'out_and_back': _out_and_back,
    'loop': _loop,
    'random_walk': _random_walk,
    'explore': _explore,
  }[check_path(name)]
  walk, tilt = jax.random.split(key)
  track, progress = make(walk, scene, config)
  position = jnp.stack(
    [jnp.interp(progress, track.frame, track.position[:, i]) for i in range(2)],
    -1,
  )
  yaw = jnp.interp(progress, track.frame, track.yaw)
  pitch = jnp.deg2rad(jax.random.uniform(tilt, (), minval=-2.0, maxval=12.0))
  return cameras_at(position, yaw, pitch, scene.eye_m, config)


def cameras_at(position, yaw, pitch, eye_m, config: WorldConfig) -> Cameras:
  """Cameras `[t]` at `position [t, 2]`; a positive pitch looks down."""
  c, s = jnp.cos(yaw), jnp.sin(yaw)
  cp, sp = jnp.cos(pitch), jnp.sin(pitch)
  zero = jnp.zeros_like(c)
  right = jnp.stack([c, zero, -s], -1)
  down = jnp.stack([-s * sp, zero + cp, -c * sp], -1)
  ahead = jnp.stack([s * cp, zero + sp, c * cp], -1)
  at = jnp.stack([position[:, 0], zero - eye_m, position[:, 1]], -1)
  top = jnp.stack([right, down, ahead, at], -1)
  bottom = jnp.broadcast_to(jnp.array([0.0, 0, 0, 1]), (*c.shape, 1, 4))
  intrinsics = jnp.broadcast_to(jnp.array(config.intrinsics), (*c.shape, 4))
  return Cameras(intrinsics, jnp.concatenate([top, bottom], -2))


def _track(position, yaw, config: WorldConfig) -> Track:
  steps = jnp.linalg.norm(jnp.diff(position, axis=0), axis=-1) / config.step_m
  turns = jnp.abs(jnp.diff(yaw)) / config.turn_rad
  frame = jnp.cumsum(jnp.maximum(steps, turns) + 1e-5)
  return Track(position, yaw, jnp.append(0.0, frame))


def _curve(key, scene: Scene, longest: float | None = None):
  """One of the curves `[k, 2]` at random, a start, and its length.

  With `longest`, curves up to that length are taken if there are any.
  """
  which, start, turned = jax.random.split(key, 3)
  curves = scene.curves
  fits = curves.exists
  if longest is not None:
    short = fits & (curves.length <= longest)
    fits = jnp.where(short.any(), short, fits)
  index = jax.random.categorical(which, jnp.where(fits, 0.0, -jnp.inf))
  points = curves.points[index]
  points = jnp.where(jax.random.bernoulli(turned), points[::-1], points)
  return points, jax.random.uniform(start), curves.length[index]


def _heading(points, length, share, closed: bool = True):
  """Smoothed heading at shares `[n]`, unwrapped."""
  span = _HEADING_M / length
  reach = jnp.linspace(-span, span, 9)
  total = jnp.zeros((*share.shape, 2))
  for offset in reach:
    at = share + offset
    at = at if closed else jnp.clip(at, 1e-4, 0.999)
    total += along(points, at + 0.1 / length) - along(points, at - 0.1 / length)
  return jnp.unwrap(jnp.arctan2(total[..., 0], total[..., 1]))


def _out_and_back(key, scene, config):
  """Turns and walks away, and the same way back."""
  curve, far, turn, look, side = jax.random.split(key, 5)
  points, start, length = _curve(curve, scene)
  q = jnp.linspace(0, 1, _DENSE)
  half = (config.frames - 1) / 2
  reach = jnp.minimum(0.6 * half * config.step_m, length / 2)
  distance = reach * jax.random.uniform(far, (), minval=0.05)
  share = start + q * distance / length
  heading = _heading(points, length, share)
  bend = heading[-1] - heading[0]
  sign = jnp.where(jnp.abs(bend) < 0.1, jax.random.rademacher(side, ()), bend)
  angle = jax.random.uniform(turn, (), minval=95.0, maxval=140.0)
  most = 0.8 * half * config.turn_rad - jnp.abs(bend)
  angle = jnp.clip(jnp.deg2rad(angle), 0.0, jnp.maximum(most, 0.0))
  yaw = heading + jnp.sign(sign) * angle * q
  yaw += jax.random.uniform(look, (), minval=-1.0, maxval=1.0)
  track = _track(along(points, share), yaw, config)
  w = 1 - jnp.abs(jnp.linspace(-1, 1, config.frames))
  return track, jnp.minimum(track.frame[-1], 0.8 * half) * _ease(w)


def _ease(w, ramp: float = 0.2):
  """From 0 to 1, slow at both ends; the slope is at most 1 / (1 - ramp)."""
  rise = lambda x: (
    jnp.clip(x, 0, ramp) ** 2 / (2 * ramp) + jnp.clip(x - ramp, 0, 1 - 2 * ramp)
  )
  fall = jnp.clip(w - 1 + ramp, 0, ramp)
  return (rise(w) + fall - fall**2 / (2 * ramp)) / (1 - ramp)


def _loop(key, scene, config):
  """Once or several times round, or a full turn where no curve is short."""
  curve, look, sway, far = jax.random.split(key, 4)
  last = config.frames - 1
  points, start, length = _curve(curve, scene, 0.9 * last * config.step_m)
  q = jnp.linspace(0, 1, _DENSE)
  offset = jax.random.uniform(look, (), minval=-1.6, maxval=1.6)
  amount = jax.random.uniform(sway, (), maxval=0.3)
  yaw = _heading(points, length, start + q) + offset
  yaw += amount * jnp.sin(4 * jnp.pi * q)
  round_trip = _track(along(points, start + q), yaw, config)
  distance = jax.random.uniform(far, (), minval=0.05, maxval=0.2)
  distance = jnp.minimum(distance * last * config.step_m, length / 3)
  bow = start + distance / length * jnp.sin(jnp.pi * q)
  turn = yaw[0] + jnp.sign(offset) * 2 * jnp.pi * q
  on_the_spot = _track(along(points, bow), turn, config)
  fits = round_trip.frame[-1] <= last
  track = jax.tree.map(
    lambda a, b: jnp.where(fits, a, b), round_trip, on_the_spot
  )
  total = track.frame[-1]
  rounds = jnp.maximum(jnp.floor(last / total), 1.0)
  progress = jnp.linspace(0, 1, config.frames) * jnp.minimum(
    rounds * total, jnp.maximum(last, 1.0)
  )
  return track, jnp.where(progress >= rounds * total, total, progress % total)


def _random_walk(key, scene, config):
  """To and fro along a curve, looking about."""
  curve, look, sway, pace = jax.random.split(key, 4)
  points, start, length = _curve(curve, scene)
  q = jnp.linspace(0, 1, _DENSE)
  reach = 0.35 * config.frames * config.step_m
  share = start + q * reach / length
  offset = jax.random.uniform(look, (), minval=-1.2, maxval=1.2)
  waves = jax.random.uniform(sway, (3,))
  swing = 0.4 + 0.5 * waves[0]
  angle = 2 * jnp.pi * (q * reach / (3 + 3 * waves[1]) + waves[2])
  yaw = _heading(points, length, share) + offset + swing * jnp.sin(angle)
  track = _track(along(points, share), yaw, config)

  def step(carry, push):
    at, speed = carry
    speed = jnp.clip(0.8 * speed + 0.6 * push, -1, 1)
    ahead = at + speed
    limit = track.frame[-1]
    speed = jnp.where((ahead < 0) | (ahead > limit), -speed, speed)
    return (jnp.clip(at + speed, 0, limit), speed), at

  pushes = jax.random.normal(pace, (config.frames,))
  first = (track.frame[-1] / 2, jnp.sign(pushes[0]))
  return track, jax.lax.scan(step, first, pushes)[1]


def _explore(key, scene, config):
  """One way along the trail, as much of it as there are frames for."""
  turned, start, look, sway = jax.random.split(key, 4)
  points, length = scene.curves.trail, scene.curves.trail_length
  points = jnp.where(jax.random.bernoulli(turned), points[::-1], points)
  q = jnp.linspace(0, 1, _DENSE)
  reach = jnp.minimum(1.0, (config.frames - 1) * config.step_m / length)
  share = reach * q + (1 - reach) * jax.random.uniform(start)
  offset = jax.random.uniform(look, (), minval=-0.7, maxval=0.7)
  yaw = _heading(points, length, share, closed=False) + offset
  yaw += 0.5 * jnp.sin(
    2 * jnp.pi * (q * reach * length / 5 + jax.random.uniform(sway))
  )
  share = jnp.clip(share, 0.0, 0.996)
  track = _track(along(points, share), yaw, config)
  last = config.frames - 1
  return track, jnp.linspace(0, 1, config.frames) * jnp.minimum(
    track.frame[-1], last
  )
