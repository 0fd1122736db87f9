"""Pinhole cameras, their rays, and projection.

OpenCV axes: x right, y down, z forward; metres. Intrinsics `fx, fy, cx, cy` are
divided by the image's width and height, so one camera serves any resolution.
A pixel's ray has z component 1 in the camera's axes, hence a point at z-depth
`z` is `origin + z * direction`. Pixels sample at their centres.
"""

import dataclasses

import flax.struct
import jax.numpy as jnp

from mirage_jax.arrays import Array, Bool, Float


@flax.struct.dataclass
class Cameras:
  """Posed pinhole cameras with any leading axes.

  Attributes:
    intrinsics: `[*batch, 4]` as `fx/w, fy/h, cx/w, cy/h`.
    world_from_camera: `[*batch, 4, 4]` rigid transforms, metres.
  """

  intrinsics: Float[Array, '*batch 4']
  world_from_camera: Float[Array, '*batch 4 4']


def pixel_centres(height: int, width: int) -> Float[Array, 'h w 2']:
  """Normalised `(u, v)` of every pixel's centre, in (0, 1)."""
  u = (jnp.arange(width) + 0.5) / width
  v = (jnp.arange(height) + 0.5) / height
  return jnp.stack(jnp.meshgrid(u, v, indexing='xy'), axis=-1)


def camera_directions(
  intrinsics: Float[Array, '*batch 4'], uv: Float[Array, '*pixels 2']
) -> Float[Array, '...']:
  """Rays in camera axes with z = 1: `[*batch, *pixels, 3]`."""
  expanded = intrinsics.reshape(
    intrinsics.shape[:-1] + (1,) * (uv.ndim - 1) + (4,)
  )
  xy = (uv - expanded[..., 2:]) / expanded[..., :2]
  return jnp.concatenate([xy, jnp.ones_like(xy[..., :1])], axis=-1)


def rays(
  cameras: Cameras, height: int, width: int
) -> tuple[Float[Array, '*batch h w 3'], Float[Array, '*batch h w 3']]:
  """World-space ray origins and directions (z-depth 1 long) of all pixels."""
  directions = camera_directions(
    cameras.intrinsics, pixel_centres(height, width)
  )
  rotation = cameras.world_from_camera[..., :3, :3]
  directions = jnp.einsum('...ij,...hwj->...hwi', rotation, directions)
  origins = cameras.world_from_camera[..., None, None, :3, 3]
  return jnp.broadcast_to(origins, directions.shape), directions


def unproject(
  cameras: Cameras, depth_m: Float[Array, '*batch h w']
) -> Float[Array, '*batch h w 3']:
  """World points of a z-depth image, metres; a depth of 0 gives the origin."""
  origins, directions = rays(cameras, *depth_m.shape[-2:])
  return origins + depth_m[..., None] * directions


def project(
  cameras: Cameras, points: Float[Array, '*batch p 3']
) -> tuple[Float[Array, '*batch p 2'], Float[Array, '*batch p']]:
  """Normalised `(u, v)` and z-depth of world points.

  Points at or behind the camera plane have z-depth <= 0 and meaningless `uv`.
  """
  camera_from_world = invert_rigid(cameras.world_from_camera)
  # Axis by axis: a product of 3 x 3 matrices is slow for many points.
  parts = [points[..., j] for j in range(3)]
  x, y, z = (
    sum(row[..., j, None] * parts[j] for j in range(3)) + row[..., 3, None]
    for row in (camera_from_world[..., i, :] for i in range(3))
  )
  safe = jnp.where(jnp.abs(z) < 1e-6, 1e-6, z)
  fx, fy, cx, cy = (cameras.intrinsics[..., i, None] for i in range(4))
  return jnp.stack([x / safe * fx + cx, y / safe * fy + cy], axis=-1), z


def in_view(
  uv: Float[Array, '*batch 2'], depth_m: Float[Array, '*batch']
) -> Bool[Array, '*batch']:
  """Tests whether projected points fall inside the image, ahead of it."""
  inside = ((uv >= 0) & (uv < 1)).all(-1)
  return inside & (depth_m > 1e-3)


def invert_rigid(
  transform: Float[Array, '*batch 4 4'],
) -> Float[Array, '*batch 4 4']:
  """Inverse of rigid transforms (rotation transposed, no solve)."""
  rotation = jnp.swapaxes(transform[..., :3, :3], -1, -2)
  translation = -jnp.einsum('...ij,...j->...i', rotation, transform[..., :3, 3])
  top = jnp.concatenate([rotation, translation[..., None]], axis=-1)
  bottom = jnp.broadcast_to(transform[..., 3:, :], (*top.shape[:-2], 1, 4))
  return jnp.concatenate([top, bottom], axis=-2)


def relative_to(cameras: Cameras, frame: Float[Array, '*batch 4 4']) -> Cameras:
  """The same cameras expressed in `frame` (a `world_from_frame` transform)."""
  return dataclasses.replace(
    cameras, world_from_camera=invert_rigid(frame) @ cameras.world_from_camera
  )


def pluecker(
  cameras: Cameras, height: int, width: int
) -> Float[Array, '*batch h w 6']:
  """Pluecker ray map: unit direction and moment `origin x direction`."""
  origins, directions = rays(cameras, height, width)
  unit = directions / jnp.linalg.norm(directions, axis=-1, keepdims=True)
  return jnp.concatenate([unit, jnp.cross(origins, unit)], axis=-1)
