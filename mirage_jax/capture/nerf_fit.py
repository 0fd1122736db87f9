"""Fits a field to posed photos, and reads depth from it.

For captures without depth: the tables of a hash grid as parameters, optimised
through volume rendering until its views look like the photos. Lengths are in
units of the poses, whatever these are.
"""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np
import optax

from mirage_jax.arrays import Array, Float, Int, UInt8
from mirage_jax.capture import nerf_field
from mirage_jax.capture.nerf_field import Field, Layout, Rays
from mirage_jax.geometry import cameras as pinhole
from mirage_jax.geometry.cameras import Cameras

LEARNING_RATE = 1e-2
FINAL = 0.05  # of the learning rate, at the end
DISTORTION = 1e-3
BACKGROUND = 0.5  # behind what is read; random while fitting
TOGETHER = 10  # steps between two reports
SURE = 0.5  # of a ray's light ends near its depth, where depth is given
CHUNK = 4096  # rays that are read together


@flax.struct.dataclass
class Photos:
  """Posed photos.

  Attributes:
    rgb: `[t, h, w, 3]` uint8.
    cameras: `[t]`.
  """

  rgb: UInt8[Array, 't h w 3']
  cameras: Cameras


@dataclasses.dataclass(frozen=True)
class Scene:
  """Place of a scene: its centre, and the radius that is one unit of a field.

  Attributes:
    centre: `[3]` what the cameras look at.
    radius: of a ball round it that holds all cameras, in units of the poses.
  """

  centre: Float[np.ndarray, '3']
  radius: float


@flax.struct.dataclass
class Fit:
  """A fit under way; steps go on from it.

  Attributes:
    params: of a `Field`.
    moments: of the optimizer.
    step: how many were made.
  """

  params: Any
  moments: Any
  step: Int[Array, '']


@flax.struct.dataclass
class View:
  """Rendered view of one camera.

  Attributes:
    rgb: `[h, w, 3]` in [0, 1].
    depth: `[h, w]` z-depth where half of the light has ended, in units of the
      poses.
    sureness: `[h, w]` share of the light that ends within 5 % of the depth.
  """

  rgb: Float[np.ndarray, 'h w 3']
  depth: Float[np.ndarray, 'h w']
  sureness: Float[np.ndarray, 'h w']

  @property
  def sure_depth(self) -> Float[np.ndarray, 'h w']:
    """The depth, 0 where the field is not sure of it."""
    return np.where(self.sureness >= SURE, self.depth, 0).astype(np.float32)


def find_scene(cameras: Cameras) -> Scene:
  """The point nearest to all optical axes, drawn a little to the cameras.

  Raises:
    ValueError: the cameras are all at one place.
  """
  poses = np.asarray(cameras.world_from_camera, np.float64)
  position, axis = poses[:, :3, 3], poses[:, :3, 2]
  across = np.eye(3) - axis[:, :, None] * axis[:, None, :]
  across = across + 0.05 * np.eye(3)  # axes may be parallel
  offset = position - position.mean(0)
  right = (np.eye(3) - axis[:, :, None] * axis[:, None, :]) @ offset[..., None]
  centre = np.linalg.solve(across.sum(0), right.sum(0))[:, 0] + position.mean(0)
  extent = float(np.linalg.norm(np.ptp(position, axis=0)))
  if extent < 1e-6 * max(1.0, float(np.abs(position).max())):
    raise ValueError(
      f'all {len(poses)} cameras are at one place: depth cannot be fitted '
      'without parallax; move the camera, or give depth'
    )
  radius = float(np.linalg.norm(position - centre, axis=1).max())
  return Scene(centre, radius)


def start(layout: Layout, key) -> Fit:
  """A fit before its first step."""
  one = jnp.ones((1, 1, 3))
  # All parameters are met here; rendering takes longer to compile.
  init = functools.partial(Field(layout).init, method='look')
  params = jax.jit(init)(key, one, one[0])['params']
  return Fit(params, _optimizer().init(params), jnp.zeros((), jnp.int32))


def advance(
  fit: Fit,
  layout: Layout,
  photos: Photos,
  scene: Scene,
  key,
  *,
  steps: int,
  until: int,
  rays: int = 1024,
  report: Callable[[int, float], None] = lambda steps, error: None,
) -> Fit:
  """Makes steps of a fit.

  Args:
    fit: where it stands.
    layout: of its field.
    photos: what it is to show.
    scene: where they are.
    key: what is drawn; the same key draws the same.
    steps: how many to make.
    until: the step at which the learning rate has fallen.
    rays: in a step.
    report: told of steps made, and their mean squared error.
  """
  local = _local(photos.cameras, scene)
  photos = dataclasses.replace(
    photos, rgb=jnp.asarray(photos.rgb), cameras=local
  )
  while steps > 0:
    count = min(TOGETHER, steps)
    fit, error = _advance(fit, photos, key, layout, count, until, rays)
    steps -= count
    report(count, float(error))
  return fit


def view(
  fit: Fit, layout: Layout, cameras: Cameras, scene: Scene, h: int, w: int
) -> View:
  """Renders the field for one camera (without leading axes)."""
  origins, directions = pinhole.rays(_local(cameras, scene), h, w)
  origins, directions = (x.reshape(-1, 3) for x in (origins, directions))
  missing = -len(origins) % CHUNK
  pad = lambda x: jnp.pad(x, ((0, missing), (0, 0)), mode='edge')
  parts = zip(
    pad(origins).reshape(-1, CHUNK, 3),
    pad(directions).reshape(-1, CHUNK, 3),
    strict=True,
  )
  seen = [_read(fit.params, layout, *part) for part in parts]
  rgb, depth, sure = (
    np.concatenate(x)[: h * w] for x in zip(*seen, strict=True)
  )
  return View(
    rgb.reshape(h, w, 3),
    depth.reshape(h, w) * np.float32(scene.radius),
    sure.reshape(h, w),
  )


def loss_of(params, layout: Layout, origins, directions, rgb, key):
  """Loss of rays that should show `rgb` `[r, 3]`; its part of colours."""
  key_rays, key_behind = jax.random.split(key)
  rays = Field(layout).apply({'params': params}, origins, directions, key_rays)
  behind = jax.random.uniform(key_behind, rgb.shape)
  shown = rays.rgb + (1 - rays.opacity)[:, None] * behind
  error = ((shown - rgb) ** 2).mean()
  spread = DISTORTION * distortion(rays.edges, rays.weights)
  return error + interlevel(rays) + spread, error


def interlevel(rays: Rays) -> Float[Array, '']:
  """Sums the light of the samples that the first pass missed.

  mip-NeRF 360, eq. 13: an interval's light may be no more than that of the
  intervals of the first pass that touch it.
  """
  weights = jax.lax.stop_gradient(rays.weights)
  edges = jax.lax.stop_gradient(rays.edges)
  total = jnp.cumsum(rays.first_weights, axis=1)
  below = jnp.concatenate([jnp.zeros_like(total[:, :1]), total], axis=1)
  last = below.shape[1] - 1
  find = jax.vmap(functools.partial(jnp.searchsorted, side='right'))
  low = jnp.clip(find(rays.first_edges, edges[:, :-1]) - 1, 0, last)
  high = jnp.clip(find(rays.first_edges, edges[:, 1:]), 0, last)
  take = lambda at: jnp.take_along_axis(below, at, axis=1)
  missed = jnp.maximum(weights - (take(high) - take(low)), 0)
  return (missed**2 / (weights + 1e-5)).sum(1).mean()


def distortion(
  edges: Float[Array, 'r _'], weights: Float[Array, 'r s']
) -> Float[Array, '']:
  """Measures the spread of a ray's light (mip-NeRF 360, eq. 15)."""
  middle = (edges[:, 1:] + edges[:, :-1]) / 2
  # For ordered places the double sum is one of running sums.
  before = jnp.cumsum(weights, 1) - weights
  moment = jnp.cumsum(weights * middle, 1) - weights * middle
  between = 2 * (weights * (middle * before - moment)).sum(1)
  within = (weights**2 * jnp.diff(edges, axis=1)).sum(1) / 3
  return (between + within).mean()


def _optimizer(until: int = 1) -> optax.GradientTransformation:
  rate = optax.exponential_decay(LEARNING_RATE, until, FINAL, end_value=1e-4)
  return optax.adam(rate, b2=0.99, eps=1e-15)


@functools.partial(
  jax.jit,
  static_argnames=('layout', 'count', 'until', 'rays'),
  donate_argnames=('fit',),
)
def _advance(fit, photos, key, layout, count, until, rays):
  """`count` steps, and their mean squared error."""
  optimizer = _optimizer(until)

  def step(fit, _):
    key_draw, key_loss = jax.random.split(jax.random.fold_in(key, fit.step))
    drawn = _draw(photos, rays, key_draw)
    slope, error = jax.grad(loss_of, has_aux=True)(
      fit.params, layout, *drawn, key_loss
    )
    change, moments = optimizer.update(slope, fit.moments, fit.params)
    params = optax.apply_updates(fit.params, change)
    return Fit(params, moments, fit.step + 1), error

  fit, errors = jax.lax.scan(step, fit, length=count)
  return fit, errors.mean()


def _draw(photos: Photos, count: int, key):
  """Origins, directions and colours of pixels drawn from all photos."""
  frames, height, width = photos.rgb.shape[:3]
  keys = jax.random.split(key, 3)
  frame, row, column = (
    jax.random.randint(k, (count,), 0, most)
    for k, most in zip(keys, (frames, height, width), strict=True)
  )
  uv = (jnp.stack([column, row], -1) + 0.5) / jnp.array([width, height])
  cameras = photos.cameras
  local = jax.vmap(pinhole.camera_directions)(
    cameras.intrinsics[frame], uv[:, None]
  )[:, 0]
  pose = cameras.world_from_camera[frame]
  directions = jnp.einsum('rij,rj->ri', pose[:, :3, :3], local)
  rgb = photos.rgb[frame, row, column].astype(jnp.float32) / 255
  return pose[:, :3, 3], directions, rgb


def _local(cameras: Cameras, scene: Scene) -> Cameras:
  """Cameras in units of the scene's radius, round its centre."""
  pose = np.array(cameras.world_from_camera, np.float64)
  pose[..., :3, 3] = (pose[..., :3, 3] - scene.centre) / scene.radius
  return Cameras(
    jnp.asarray(cameras.intrinsics, jnp.float32), jnp.asarray(pose, jnp.float32)
  )


@functools.partial(jax.jit, static_argnames='layout')
def _read(params, layout, origins, directions):
  """Colour, depth in radii, and sureness of rays."""
  rays = Field(layout).apply({'params': params}, origins, directions, None)
  behind = BACKGROUND * (1 - rays.opacity)[:, None]
  return rays.rgb + behind, *nerf_field.median_depth(rays)
