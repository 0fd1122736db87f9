"""Reading a hash grid: two passes of rays over its surfels.

The first pass marches the evidence of the coarse levels and finds where along
a ray surfaces may be; the second looks there at the finest level that the
pixel can resolve. Places are found without gradients: they flow through the
features alone.
"""

import jax
import jax.numpy as jnp
import numpy as np

from mirage_jax.geometry import cameras as pinhole
from mirage_jax.geometry.rendering import composite, composite_weights
from mirage_jax.memory.contract import Readout, Views
from mirage_jax.memory.hash_grid import ray_marching, surfels, table
from mirage_jax.memory.tables import sharded

NEAREST_M = 0.1  # least depth that a spread is divided by
DEPTH_ERROR = 0.05  # relative; the spread is counted in the largest allowed one
MOST_SPREAD = 3.0  # of these; more says no more


def read(config, state, views: Views) -> Readout:
  """Renders views `[t]`; see `HashGrid.read`."""
  _check_overflow(state)
  height, width = views.height, views.width
  cameras = pinhole.relative_to(views.cameras, state.frame)
  origins, directions = pinhole.rays(cameras, height, width)
  pixel_m = 1 / (cameras.intrinsics[:, 0, None, None] * width)
  shape = origins.shape[:-1]
  rays = jax.lax.stop_gradient(
    ray_marching.Rays(
      origins.reshape(-1, 3),
      directions.reshape(-1, 3),
      jnp.broadcast_to(pixel_m, shape).reshape(-1),
    )
  )
  cast = lambda state, rays: _cast(config, state, rays)
  if config.sharded:
    count = len(rays.pixel_m)
    rays = jax.tree.map(_even, rays)
    takes, gives = (table.specs(), sharded.DIVIDED), sharded.DIVIDED
    seen = sharded.divide(cast, takes, gives)(state, rays)
    seen = jax.tree.map(lambda x: x[:count], seen)
  else:
    seen = cast(state, rays)
  return jax.tree.map(lambda x: x.reshape(*shape, *x.shape[1:]), seen)


def _even(x):
  """Rays that all parts have as many of; the last are repeated."""
  missing = -len(x) % sharded.num_parts()
  return jnp.concatenate([x, jnp.repeat(x[-1:], missing, axis=0)])


def _cast(config, state, rays) -> Readout:
  """Renders rays of the state, `[r, ...]`."""
  features, surfaces = surfels.prepare(config, state)
  surfaces = jax.lax.stop_gradient(surfaces)
  hits = jax.lax.stop_gradient(ray_marching.march(config, surfaces, rays))
  samples = surfels.look(config, features, surfaces, rays, hits)
  weights, passing = composite_weights(samples.alpha)
  opacity = 1 - passing
  share = weights / jnp.maximum(opacity, 1e-6)[:, None]
  depth = (share * samples.depth_m).sum(-1)
  sure = _confidence(config, share, samples, opacity, depth, hits)
  lost = jnp.where(state.overflow, jnp.nan, 1.0)
  return Readout(
    features=lost * composite(share, samples.features),
    depth_m=lost * depth,
    opacity=lost * opacity,
    confidence=lost * sure,
  )


def _confidence(config, share, samples, opacity, depth, hits):
  """Estimates the probability that colour and depth are right, `[r]`.

  A logistic regression. `config.confidence` holds its coefficients: constant,
  opacity, mean sureness, relative spread of the depths, generated share.
  """
  bias, opaque, sureness, spread, generated = config.confidence
  spread_share = (share * samples.spread).sum(-1) / jnp.maximum(
    depth, NEAREST_M
  )
  logit = (
    bias
    + opaque * opacity
    + sureness * (share * samples.sureness).sum(-1)
    + spread * jnp.clip(spread_share / DEPTH_ERROR, 0, MOST_SPREAD)
    + generated * (share * samples.generated).sum(-1)
  )
  return jax.lax.stop_gradient(opacity * jax.nn.sigmoid(logit))


def _check_overflow(state):
  """Raises ValueError if a sum has left its range (NaN instead under jit)."""
  # NumPy, because a constant that a jitted function closes over is no tracer
  # but what jnp makes of it is.
  known = not isinstance(state.overflow, jax.core.Tracer)
  if known and np.asarray(state.overflow).any():
    raise ValueError(
      'a sum of this memory left its range; what it holds is wrong: '
      'start a new one, or forget before writing more'
    )
