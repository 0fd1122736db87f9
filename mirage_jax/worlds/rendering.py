"""From a scene and cameras to the pixels of a clip, in bounded memory.

A frame is cut into tiles; a tile's rays form one view of the caster. With
`rays_per_pixel = s^2`, rays lie on a lattice of s a pixel that holds the
pixels' centres. Even s samples the pixels' edges too, which neighbours share,
with half the weight (the trapezoidal rule).
"""

import functools
import math

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np

from mirage_jax.arrays import Array, Float
from mirage_jax.geometry.cameras import Cameras
from mirage_jax.geometry.clips import Clip
from mirage_jax.worlds.caster import Views, cast
from mirage_jax.worlds.config import WorldConfig
from mirage_jax.worlds.scenes import Scene, objects_over, solids_at
from mirage_jax.worlds.shading import shade, unpack

_SPAN = 64  # samples; rows and columns of a tile, at most
_RAYS = 1 << 16  # rays in flight
_FRAMES = 4  # rendered by one call


def render(
  scene: Scene, cameras: Cameras, time_s: Float[Array, 't'], config: WorldConfig
) -> Clip:
  """Renders frames of a scene, a few at a time.

  Runs on the host: one compiled program serves clips of all lengths.

  Args:
    scene: what is there.
    cameras: `[t]`.
    time_s: `[t]` when each frame is taken.
    config: resolution and rays per pixel.

  Returns:
    A clip of NumPy arrays with every field filled.
  """
  frames = time_s.shape[0]
  picture = WorldConfig(
    height=config.height,
    width=config.width,
    rays_per_pixel=config.rays_per_pixel,
    fov_deg=config.fov_deg,
  )
  cameras, time_s = jax.device_get((cameras, time_s))
  parts = []
  for start in range(0, frames, _FRAMES):
    index = np.minimum(np.arange(start, start + _FRAMES), frames - 1)
    some = jax.tree.map(lambda x, i=index: x[i], (cameras, time_s))
    parts.append(_render_few(scene, *some, picture))
  parts = jax.device_get(parts)
  images = jax.tree.map(lambda *x: np.concatenate(x)[:frames], *parts)
  return Clip(
    intrinsics=cameras.intrinsics,
    world_from_camera=cameras.world_from_camera,
    time_s=time_s,
    sky=images['depth_m'] == 0,
    **images,
  )


@functools.partial(jax.jit, static_argnames='config')
def _render_few(scene, cameras, time_s, config):
  """Renders the fields of a clip of a few frames beside cameras and times."""
  images = _render_tiles(scene, cameras, time_s, config, _tiles(config))
  position, velocity, box = objects_over(scene, time_s)
  return images | {
    'object_box': box,
    'object_position': position,
    'object_velocity': velocity,
  }


@flax.struct.dataclass
class _Tiles:
  """Sample positions of a frame's tiles, in pixels.

  Attributes:
    u: `[k, columns]`; v: `[k, rows]`.
  """

  u: np.ndarray
  v: np.ndarray


def _split(size: int, samples: int) -> tuple[int, int]:
  """Tiles along an axis, and their pixels (the last may hang over)."""
  count = -(-size * samples // _SPAN)
  return count, -(-size // count)


def _samples(config: WorldConfig) -> int:
  """Rays a pixel and axis."""
  return math.isqrt(config.rays_per_pixel)


def _tiles(config: WorldConfig) -> _Tiles:
  s = _samples(config)
  down, height = _split(config.height, s)
  right, width = _split(config.width, s)
  offset = lambda n: (np.arange(n * s + 1 - s % 2) + 0.5 * (s % 2)) / s
  u = np.arange(right)[:, None] * width + offset(width)
  v = np.arange(down)[:, None] * height + offset(height)
  return _Tiles(np.tile(u, (down, 1)), np.repeat(v, right, axis=0))


def _render_tiles(scene, cameras, time_s, config, tiles):
  """Images `[t, h, w, ...]` of all frames, a few tiles at a time."""
  frames, count = time_s.shape[0], tiles.u.shape[0]
  rays = tiles.u.shape[1] * tiles.v.shape[1]
  total = frames * count
  chunks = -(-total // max(1, _RAYS // rays))
  chunk = -(-total // chunks)
  index = jnp.minimum(jnp.arange(chunks * chunk), total - 1)

  def one_chunk(index):
    frame, tile = index // count, index % count
    views = _views(
      jax.tree.map(lambda x: x[frame], cameras),
      jnp.asarray(tiles.u, jnp.float32)[tile],
      jnp.asarray(tiles.v, jnp.float32)[tile],
      config,
    )
    return _render_views(scene, views, time_s[frame], config, tiles)

  images = jax.lax.map(one_chunk, index.reshape(chunks, chunk))
  return {k: _untile(x, frames, config) for k, x in images.items()}


def _untile(x, frames, config):
  """`[chunks, chunk, th, tw, ...]` to `[t, h, w, ...]`."""
  s = _samples(config)
  (down, th), (right, tw) = _split(config.height, s), _split(config.width, s)
  x = x.reshape(-1, *x.shape[2:])[: frames * down * right]
  x = x.reshape(frames, down, right, *x.shape[1:])
  x = jnp.moveaxis(x, 2, 3).reshape(frames, down * th, right * tw, *x.shape[5:])
  return x[:, : config.height, : config.width]


def _views(cameras: Cameras, u, v, config: WorldConfig) -> Views:
  """Views `[k]` of tiles with sample columns `[k, x]` and rows `[k, y]`."""
  focal, centre = cameras.intrinsics[:, :2], cameras.intrinsics[:, 2:]
  x = (u / config.width - centre[:, :1]) / focal[:, :1]
  y = (v / config.height - centre[:, 1:]) / focal[:, 1:]
  rotation = cameras.world_from_camera[:, :3, :3]
  x2, y2 = jnp.broadcast_arrays(x[:, None, :], y[:, :, None])
  x2, y2 = (a.reshape(a.shape[0], -1) for a in (x2, y2))
  column = lambda i: rotation[:, :, i, None]
  directions = column(0) * x2[:, None] + column(1) * y2[:, None] + column(2)
  one, zero = jnp.ones_like(x[:, 0]), jnp.zeros_like(x[:, 0])
  sides = [
    (one, zero, -x[:, 0]),
    (-one, zero, x[:, -1]),
    (zero, one, -y[:, 0]),
    (zero, -one, y[:, -1]),
  ]
  sides = jnp.stack([jnp.stack(n, -1) for n in sides], 1)
  return Views(
    origin=cameras.world_from_camera[:, :3, 3],
    forward=rotation[:, :, 2],
    directions=directions,
    sides=jnp.einsum('vij,vkj->vki', rotation, sides),
  )


def _render_views(scene, views, time_s, config, tiles):
  """Pixels of views: colour filtered, all else from the centres' rays."""
  boxes, rounds = jax.vmap(lambda t: solids_at(scene, t))(time_s)
  depth, index = _apart(cast, views, boxes, rounds)
  solids = jax.tree.map(lambda a, b: jnp.concatenate([a, b], 1), boxes, rounds)
  pixel = 1 / (config.intrinsics[0] * config.width)
  count = boxes.yaw.shape[1]
  paint = functools.partial(shade, count_boxes=count, pixel_m=pixel)
  rgb = _apart(paint, views, depth, index, solids, scene.lighting)
  rgb = rgb.reshape(-1, tiles.v.shape[1], tiles.u.shape[1])
  grid = (tiles.v.shape[1], tiles.u.shape[1])
  s = _samples(config)
  centre = lambda x: x.reshape(-1, *grid)[:, s // 2 :: s, s // 2 :: s]
  depth, index = centre(depth), centre(index)
  hit = jnp.isfinite(depth)
  take = lambda x: jax.vmap(lambda x, i: x[i])(x, index)
  return {
    'rgb': jnp.stack([_filter(c, s) for c in unpack(rgb)], -1),
    'depth_m': jnp.where(hit, depth, 0.0),
    'object_id': jnp.where(hit, take(solids.object_id), 0),
    'dynamic': hit & take(solids.dynamic),
  }


def _apart(function, views: Views, *args):
  """`function(views, *args)` as a computation of its own.

  XLA for CPUs fuses what it can into each loop that uses it, which computes
  it several times; it does not fuse across a branch, taken or not.
  """
  nothing = jax.eval_shape(function, views, *args)
  return jax.lax.cond(
    views.origin[0, 0] == jnp.inf,
    lambda *_: jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), nothing),
    function,
    views,
    *args,
  )


def _filter(rgb, s: int):
  """Bytes of pixels, means of samples `[k, y, x]`, s a pixel and axis."""
  for axis in (1, 2):
    size = (rgb.shape[axis] - 1 + s % 2) // s
    weights = [1 / s] * s if s % 2 else [0.5 / s, *[1 / s] * (s - 1), 0.5 / s]
    total = jnp.zeros(())
    for i, weight in enumerate(weights):
      part = jax.lax.slice_in_dim(rgb, i, i + (size - 1) * s + 1, s, axis)
      total = total + weight * part
    rgb = total
  return jnp.round(rgb * 255).astype(jnp.uint8)
