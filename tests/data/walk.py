"""A small exact world for the tests of the data floor."""

import numpy as np

from mirage_jax.geometry.clips import Clip


def textured_wall_clip(
  yaw_rad, height: int = 16, width: int = 16, offset: int = 0
) -> Clip:
  """A camera at the origin that turns inside a sphere of radius 4 m."""
  yaw_rad = np.asarray(yaw_rad, np.float32)
  u = (np.arange(width) + 0.5) / width
  v = (np.arange(height) + 0.5) / height
  x, y = np.meshgrid((u - 0.5) / 0.5, (v - 0.5) / 0.5)
  rays = np.stack([x, y, np.ones_like(x)], -1)
  rays = rays / np.linalg.norm(rays, axis=-1, keepdims=True)
  pose = np.tile(np.eye(4, dtype=np.float32), (len(yaw_rad), 1, 1))
  pose[:, 0, 0] = pose[:, 2, 2] = np.cos(yaw_rad)
  pose[:, 0, 2], pose[:, 2, 0] = np.sin(yaw_rad), -np.sin(yaw_rad)
  world = np.einsum('tij,hwj->thwi', pose[:, :3, :3], rays)
  rgb = np.round(127.5 + 127.5 * np.sin(5 * world + offset)).astype(np.uint8)
  shape = (len(yaw_rad), height, width)
  return Clip(
    rgb=rgb,
    depth_m=np.broadcast_to(4 * rays[..., 2], shape).astype(np.float32),
    intrinsics=np.tile(np.float32([0.5, 0.5, 0.5, 0.5]), (len(yaw_rad), 1)),
    world_from_camera=pose,
    time_s=np.arange(len(yaw_rad), dtype=np.float32) / 10,
    dynamic=np.zeros(shape, bool),
    sky=np.zeros(shape, bool),
  )


def there_and_back(frames: int = 24, turn_rad: float = 3.0) -> np.ndarray:
  """Yaw that leaves and returns."""
  half = np.linspace(0, turn_rad, frames // 2)
  return np.concatenate([half, half[::-1]])
