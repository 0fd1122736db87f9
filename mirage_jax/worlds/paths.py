"""Camera paths through a scene: smooth, bounded, clear of all solids.

A path is a track, a dense polyline of positions and headings along one of the
scene's curves, and a progress over it. Progress is measured in frames that the
bounds on step and turn allow, so any progress of at most 1 a frame keeps both.
"""

import functools

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np

from mirage_jax.arrays import Array, Float, Key
from mirage_jax.geometry.cameras import Cameras
from mirage_jax.worlds.config import WorldConfig, check_path
from mirage_jax.worlds.scenes import Scene, along

_DENSE = 257
_DRAWS = 10
_HEADING_M = 1.1  # headings are averaged over this much of the way, each side


@flax.struct.dataclass
class Track:
  """Places where a camera may be, in order.

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
  return _make_path(key, scene, check_path(name), config)


@functools.partial(jax.jit, static_argnames=('name', 'config'))
def _make_path(key, scene, name, config):
  make = {
    'out_and_back': _out_and_back,
    'loop': _loop,
    'random_walk': _random_walk,
    'explore': _explore,
  }[name]
  u = jax.random.uniform(key, (_DRAWS + config.frames,))
  track, progress = make(u[1:], scene, config)
  position = jnp.stack(
    [jnp.interp(progress, track.frame, track.position[:, i]) for i in range(2)],
    -1,
  )
  yaw = jnp.interp(progress, track.frame, track.yaw)
  pitch = jnp.deg2rad(14 * u[0] - 2)
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


def _curve(u, scene: Scene, longest: float | None = None):
  """One of the curves `[k, 2]`, either way round, and its length.

  With `longest`, curves up to that length are taken if there are any.
  """
  curves = scene.curves
  fits = curves.exists
  if longest is not None:
    short = fits & (curves.length <= longest)
    fits = jnp.where(short.any(), short, fits)
  rank = jnp.cumsum(fits)
  index = jnp.argmax(rank > u[0] * rank[-1])
  points = curves.points[index]
  return jnp.where(u[1] < 0.5, points[::-1], points), curves.length[index]


def _heading(points, length, share, closed: bool = True):
  """Smoothed heading at shares `[n]`, unwrapped."""
  reach = np.linspace(-_HEADING_M, _HEADING_M, 9)[:, None]
  at = share[:, None, None] + (reach + np.array([-0.1, 0.1])) / length
  at = at if closed else jnp.clip(at, 1e-4, 0.999)
  ends = along(points, at)  # [n, 9, 2, xz]
  total = (ends[:, :, 1] - ends[:, :, 0]).sum(1)
  yaw = jnp.arctan2(total[..., 0], total[..., 1])
  turn = (jnp.diff(yaw) + jnp.pi) % (2 * jnp.pi) - jnp.pi
  return yaw[0] + jnp.append(0.0, jnp.cumsum(turn))


def _out_and_back(u, scene, config):
  """Turns and walks away, and the same way back."""
  points, length = _curve(u[:2], scene)
  q = np.linspace(0, 1, _DENSE)
  half = (config.frames - 1) / 2
  reach = jnp.minimum(0.6 * half * config.step_m, length / 2)
  distance = reach * (0.05 + 0.95 * u[2])
  share = u[3] + q * distance / length
  heading = _heading(points, length, share)
  bend = heading[-1] - heading[0]
  sign = jnp.where(jnp.abs(bend) < 0.1, u[4] - 0.5, bend)
  most = 0.8 * half * config.turn_rad - jnp.abs(bend)
  angle = jnp.minimum(jnp.deg2rad(95 + 45 * u[5]), jnp.maximum(most, 0.0))
  yaw = heading + jnp.sign(sign) * angle * q + 2 * u[6] - 1
  track = _track(along(points, share), yaw, config)
  w = 1 - np.abs(np.linspace(-1, 1, config.frames))
  return track, jnp.minimum(track.frame[-1], 0.8 * half) * _ease(w)


def _ease(w, ramp: float = 0.2):
  """From 0 to 1, slow at both ends; the slope is at most 1 / (1 - ramp)."""
  rise = np.clip(w, 0, ramp) ** 2 / (2 * ramp)
  fall = np.clip(w - 1 + ramp, 0, ramp)
  middle = np.clip(w - ramp, 0, 1 - 2 * ramp)
  return (rise + middle + fall - fall**2 / (2 * ramp)) / (1 - ramp)


def _loop(u, scene, config):
  """Once or several times round, or a full turn where no curve is short."""
  last = config.frames - 1
  points, length = _curve(u[:2], scene, 0.9 * last * config.step_m)
  q = np.linspace(0, 1, _DENSE)
  offset = 3.2 * (u[2] - 0.5)
  yaw = _heading(points, length, u[3] + q) + offset
  yaw += 0.3 * u[4] * np.sin(4 * np.pi * q)
  round_trip = _track(along(points, u[3] + q), yaw, config)
  distance = (0.05 + 0.15 * u[5]) * last * config.step_m
  bow = jnp.minimum(distance / length, 1 / 3) * np.sin(np.pi * q)
  turn = yaw[0] + jnp.sign(offset) * 2 * np.pi * q
  on_the_spot = _track(along(points, u[3] + bow), turn, config)
  fits = round_trip.frame[-1] <= last
  track = jax.tree.map(
    lambda a, b: jnp.where(fits, a, b), round_trip, on_the_spot
  )
  total = track.frame[-1]
  rounds = jnp.maximum(jnp.floor(last / total), 1.0)
  progress = np.linspace(0, 1, config.frames)
  progress *= jnp.minimum(rounds * total, max(last, 1))
  return track, jnp.where(progress >= rounds * total, total, progress % total)


def _random_walk(u, scene, config):
  """To and fro along a curve, looking about."""
  points, length = _curve(u[:2], scene)
  q = np.linspace(0, 1, _DENSE)
  reach = 0.35 * config.frames * config.step_m
  share = u[2] + q * reach / length
  angle = 2 * jnp.pi * (q * reach / (3 + 3 * u[3]) + u[4])
  yaw = _heading(points, length, share)
  yaw += 2.4 * (u[5] - 0.5) + (0.4 + 0.5 * u[6]) * jnp.sin(angle)
  track = _track(along(points, share), yaw, config)
  limit = track.frame[-1]

  def step(carry, push):
    at, speed = carry
    speed = jnp.clip(0.8 * speed + 2.0 * (push - 0.5), -1, 1)
    ahead = at + speed
    speed = jnp.where((ahead < 0) | (ahead > limit), -speed, speed)
    return (jnp.clip(at + speed, 0, limit), speed), at

  pushes = u[-config.frames :]
  return track, jax.lax.scan(step, (limit / 2, u[7] * 2 - 1), pushes)[1]


def _explore(u, scene, config):
  """One way along the trail, as much of it as there are frames for."""
  points, length = scene.curves.trail, scene.curves.trail_length
  points = jnp.where(u[0] < 0.5, points[::-1], points)
  q = np.linspace(0, 1, _DENSE)
  last = config.frames - 1
  reach = jnp.minimum(1.0, last * config.step_m / length)
  share = jnp.clip(reach * q + (1 - reach) * u[1], 0.0, 0.996)
  yaw = _heading(points, length, share, closed=False) + 1.4 * (u[2] - 0.5)
  yaw += 0.5 * jnp.sin(2 * jnp.pi * (q * reach * length / 5 + u[3]))
  track = _track(along(points, share), yaw, config)
  progress = np.linspace(0, 1, config.frames)
  return track, progress * jnp.minimum(track.frame[-1], last)
