"""Readouts that need no memory: what a written table has to beat.

Each reference sees the written frames and the cameras of the views to read,
and answers with the same `Readout` as a memory. Neither is bounded: both keep
every written frame.
"""

import jax
import jax.numpy as jnp
import numpy as np

from mirage_jax.arrays import Array, Float
from mirage_jax.geometry.cameras import Cameras, unproject
from mirage_jax.geometry.clips import Clip, take_frames
from mirage_jax.memory.baselines.point_cloud import splat as draw_points

POINT_BYTES = 24  # Float32 position and float32 colour.


def static_depth(clip: Clip) -> Float[Array, '*b t h w']:
  """Depth of what belongs in a static memory: 0 on movers and in the sky."""
  depth_m = np.asarray(clip.depth_m)
  for mask in (clip.dynamic, clip.sky):
    if mask is not None:
      depth_m = np.where(mask, 0.0, depth_m)
  return depth_m.astype(np.float32)


def points_of(
  clip: Clip,
) -> tuple[Float[Array, 'p 3'], Float[Array, 'p 3']]:
  """World positions and colours in [-1, 1] of all pixels with static depth."""
  depth_m = static_depth(clip)
  points = np.asarray(unproject(clip.cameras, jnp.asarray(depth_m)))
  rgb = np.asarray(clip.rgb, np.float32) / 127.5 - 1
  return points[depth_m > 0], rgb[depth_m > 0]


def point_cloud(clip: Clip, cameras: Cameras, height: int, width: int):
  """Z-buffer splat of all points of `clip`, one pixel a point.

  Args:
    clip: the written frames, `[t, ...]`.
    cameras: the views to read, `[n]`.
    height: rows of the views.
    width: columns of the views.

  Returns:
    The readout `[n, h, w, ...]` and the bytes of the cloud.
  """
  points, rgb = points_of(clip)
  every = np.ones(len(points), bool)
  views = [
    splat(points, rgb, one_camera(cameras, i), every, height, width)
    for i in range(cameras.intrinsics.shape[0])
  ]
  readout = jax.tree.map(lambda *x: np.stack(x), *views)
  return readout, POINT_BYTES * len(points)


def nearest_warp(clip: Clip, cameras: Cameras, height: int, width: int):
  """The nearest written frame, warped into each view by its depth.

  The nearest frame is that of the smallest distance (metres) plus angle
  between viewing directions (radians).

  Returns:
    The readout `[n, h, w, ...]` and the bytes of all written frames (3 of
    colour and 4 of depth a pixel).
  """
  written = np.asarray(clip.world_from_camera)
  views = []
  for i in range(cameras.intrinsics.shape[0]):
    camera = one_camera(cameras, i)
    nearest = int(np.argmin(pose_distance(written, camera.world_from_camera)))
    frame = take_frames(clip, np.array([nearest]))
    depth_m = jnp.asarray(static_depth(frame))
    points = unproject(frame.cameras, depth_m).reshape(-1, 3)
    rgb = np.asarray(frame.rgb, np.float32).reshape(-1, 3) / 127.5 - 1
    valid = depth_m.reshape(-1) > 0
    views.append(splat(points, rgb, camera, valid, height, width))
  readout = jax.tree.map(lambda *x: np.stack(x), *views)
  return readout, 7 * int(np.prod(np.shape(clip.depth_m)))


def pose_distance(
  poses: Float[Array, 't 4 4'], pose: Float[Array, '4 4']
) -> Float[Array, 't']:
  """Metres between positions plus radians between viewing directions."""
  poses, pose = np.asarray(poses), np.asarray(pose)
  metres = np.linalg.norm(poses[:, :3, 3] - pose[:3, 3], axis=-1)
  cosine = poses[:, :3, 2] @ pose[:3, 2]
  return metres + np.arccos(np.clip(cosine, -1.0, 1.0))


def one_camera(cameras: Cameras, i: int) -> Cameras:
  """Camera `i` of a sequence, without the leading axis."""
  return jax.tree.map(lambda x: jnp.asarray(x)[i], cameras)


splat = jax.jit(draw_points, static_argnums=(4, 5))
