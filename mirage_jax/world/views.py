"""Cameras and frames with the axes that a world needs."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from mirage_jax.geometry.cameras import Cameras


def several(cameras: Cameras) -> Cameras:
  """Gives a single camera the axis `[t]`."""
  single = np.ndim(cameras.intrinsics) == 1
  return take(cameras, None) if single else cameras


def take(tree: Any, index: Any) -> Any:
  """Indexes the first axis of every array."""
  return jax.tree.map(lambda x: x[index], tree)


def one_scene(cameras: Cameras) -> Cameras:
  """Puts cameras on the device as `[1, t]`."""
  return jax.tree.map(lambda x: jnp.asarray(x, jnp.float32)[None], cameras)
