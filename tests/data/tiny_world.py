"""Stands in for the procedural worlds: same contract, nothing to compile."""

import functools

import jax
import jax.numpy as jnp

from mirage_jax.geometry.clips import Clip


def make_clip(key, config) -> Clip:
  """Noise of the right shapes, decided by the key."""
  return jax.device_get(_make_clip(key, config))


@functools.partial(jax.jit, static_argnums=1)
def _make_clip(key, config):
  t, h, w = config.frames, config.height, config.width
  seed = jax.random.key_data(key)[-1] % 10007
  noise = jnp.modf(jnp.arange(t * h * w) * 0.618 + seed * 0.0123)[0]
  noise = noise.reshape(t, h, w)
  eye = jnp.tile(jnp.eye(4), (t, 1, 1))
  return Clip(
    rgb=jnp.stack([255 * noise] * 3, -1).astype(jnp.uint8),
    depth_m=0.5 + 40 * noise,
    intrinsics=jnp.full((t, 4), 0.5),
    world_from_camera=eye.at[:, :3, 3].set(seed * 0.01),
    time_s=jnp.arange(t) / config.fps,
    dynamic=jnp.zeros((t, h, w), bool),
    sky=jnp.ones((t, h, w), bool),
    object_id=jnp.full((t, h, w), 3, jnp.int32),
    object_box=jnp.ones((t, 2, 3)),
    object_position=jnp.ones((t, 2, 3)),
    object_velocity=jnp.zeros((t, 2, 3)),
  )
