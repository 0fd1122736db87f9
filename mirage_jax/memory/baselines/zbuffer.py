"""Points drawn into a view, one pixel each: the nearest of a pixel wins."""

import jax.numpy as jnp

from mirage_jax.arrays import Array, Bool, Float
from mirage_jax.geometry.cameras import Cameras, in_view, project
from mirage_jax.memory.contract import Readout


def splat(
  points: Float[Array, 'p 3'],
  features: Float[Array, 'p f'],
  camera: Cameras,
  valid: Bool[Array, ' p'],
  height: int,
  width: int,
) -> Readout:
  """What one camera sees of the points `valid`.

  Points of a pixel at exactly the same depth are averaged, so their order does
  not matter. Gradients flow through the features. Confidence is opacity: a
  cloud knows only whether there is a point.
  """
  uv, depth_m = project(camera, points)
  seen = in_view(uv, depth_m) & valid
  column = jnp.clip(jnp.floor(uv[:, 0] * width).astype(int), 0, width - 1)
  row = jnp.clip(jnp.floor(uv[:, 1] * height).astype(int), 0, height - 1)
  pixel = jnp.where(seen, row * width + column, height * width)
  nearest = jnp.full(height * width + 1, jnp.inf).at[pixel].min(depth_m)
  wins = seen & (depth_m <= nearest[pixel])
  rows = jnp.concatenate([features, jnp.ones_like(features[:, :1])], axis=-1)
  total = jnp.zeros((height * width + 1, rows.shape[-1]))
  total = total.at[pixel].add(rows * wins[:, None])[:-1]
  known = total[:, -1] > 0
  mean = total[:, :-1] / jnp.maximum(total[:, -1:], 1)
  opacity = known.astype(jnp.float32).reshape(height, width)
  return Readout(
    features=mean.reshape(height, width, -1),
    depth_m=jnp.where(known, nearest[:-1], 0).reshape(height, width),
    opacity=opacity,
    confidence=opacity,
  )
