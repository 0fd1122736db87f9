"""Views of smooth walls, for tests of any memory."""

import jax.numpy as jnp
import numpy as np

from mirage_jax.geometry.cameras import Cameras


def make_views(seed=0, frames=3, height=8, width=10):
  """`(cameras, depth_m, features, weight)` of cameras that wander and turn."""
  rng = np.random.default_rng(seed)
  turn = rng.uniform(-3, 3, frames)
  poses = np.tile(np.eye(4, dtype=np.float32), (frames, 1, 1))
  poses[:, 0, 0] = poses[:, 2, 2] = np.cos(turn)
  poses[:, 0, 2] = np.sin(turn)
  poses[:, 2, 0] = -np.sin(turn)
  poses[:, :3, 3] = rng.uniform(-2, 2, (frames, 3))
  intrinsics = np.tile(np.float32([1, 1.25, 0.5, 0.5]), (frames, 1))
  slope = np.linspace(0, 1, width)
  depth_m = rng.uniform(1, 3, (frames, 1, 1)) + slope + np.zeros((height, 1))
  shape = (frames, height, width)
  features = rng.uniform(-1, 1, (frames, 1, 1, 3)) + np.zeros((*shape, 3))
  return (
    Cameras(jnp.asarray(intrinsics), jnp.asarray(poses)),
    depth_m.astype(np.float32),
    features.astype(np.float32),
    np.ones(shape, np.float32),
  )
