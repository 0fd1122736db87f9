"""Camera paths that start from a given camera, whatever scene it is in."""

import jax
import jax.numpy as jnp

from mirage_jax.arrays import Array, Float
from mirage_jax.geometry.cameras import Cameras, invert_rigid


def turned(angle_rad: Float[Array, 't']) -> Float[Array, 't 4 4']:
  """Turns to the right about the camera's own vertical axis."""
  c, s, zero = jnp.cos(angle_rad), jnp.sin(angle_rad), jnp.zeros_like(angle_rad)
  one = zero + 1
  rows = [
    jnp.stack([c, zero, s, zero], -1),
    jnp.stack([zero, one, zero, zero], -1),
    jnp.stack([-s, zero, c, zero], -1),
    jnp.stack([zero, zero, zero, one], -1),
  ]
  return jnp.stack(rows, -2)


def moved(offset_m: Float[Array, '3']) -> Float[Array, '4 4']:
  """A shift along the camera's axes."""
  return jnp.eye(4).at[:3, 3].set(offset_m)


def _from(start: Cameras, steps: Float[Array, 't 4 4']) -> Cameras:
  """Cameras `[t]`: `start` followed by transforms in its own axes."""
  poses = start.world_from_camera @ steps
  intrinsics = jnp.broadcast_to(start.intrinsics, (len(steps), 4))
  return Cameras(intrinsics, poses)


def pan(start: Cameras, frames: int, turn_deg: float = 360.0) -> Cameras:
  """Turns on the spot by `turn_deg` in all; a full turn ends at the start."""
  share = jnp.arange(1, frames + 1) / frames
  return _from(start, turned(jnp.deg2rad(turn_deg) * share))


def orbit(
  start: Cameras, frames: int, distance_m: float, swing_deg: float = 40.0
) -> Cameras:
  """Swings to both sides about a point ahead, looking at it, and returns.

  Args:
    start: one camera.
    frames: of the path; the last one is at the start again.
    distance_m: of the point that the camera looks at.
    swing_deg: how far it goes round to each side.
  """
  share = jnp.arange(1, frames + 1) / frames
  angle = jnp.deg2rad(swing_deg) * jnp.sin(2 * jnp.pi * share)
  ahead = jnp.array([0.0, 0.0, distance_m])
  return _from(start, moved(ahead) @ turned(angle) @ moved(-ahead))


def follow(start: Cameras, poses: Float[Array, 't 4 4']) -> Cameras:
  """Repeats the motion of `poses` (relative to the first one) from `start`."""
  return _from(start, invert_rigid(jnp.asarray(poses[:1])) @ poses)


def joined(first: Cameras, second: Cameras) -> Cameras:
  """One path after the other, along t."""
  return jax.tree.map(lambda a, b: jnp.concatenate([a, b]), first, second)
