"""Depth guessed where a sensor gave none, from the pixels round about."""

import jax
import jax.numpy as jnp

from mirage_jax.arrays import Array, Float


def complete_depth(depth_m: Float[Array, '*t h w']) -> Float[Array, '*t h w']:
  """Depth images without holes: pull-push over a pyramid of inverse depth.

  A hole takes the mean inverse depth of the smallest block of 2^k pixels that
  holds any, interpolated between blocks (Gortler et al. 1996, section 3.5).
  Measured pixels keep their depth; an image without any depth stays 0.
  """
  known = (depth_m > 0).astype(jnp.float32)
  inverse = known / jnp.where(depth_m > 0, depth_m, 1)
  guess = _pull_push(inverse, known)
  some = known.any((-2, -1), keepdims=True)
  filled = jnp.where(some, 1 / jnp.maximum(guess, 1e-6), 0)
  return jnp.where(depth_m > 0, depth_m, filled)


def _pull_push(total: Array, count: Array) -> Array:
  """Means of known values; unknown ones from the next coarser image."""
  mean = total / jnp.maximum(count, 1)
  height, width = total.shape[-2:]
  if height == width == 1:
    return mean
  coarse = _pull_push(_halve(total), _halve(count))
  shape = (*total.shape[:-2], 2 * coarse.shape[-2], 2 * coarse.shape[-1])
  upper = jax.image.resize(coarse, shape, 'linear')[..., :height, :width]
  return jnp.where(count > 0, mean, upper)


def _halve(image: Array) -> Array:
  """Sums of 2 x 2 blocks; odd sides are padded with nothing."""
  height, width = image.shape[-2:]
  sides = ((0, height % 2), (0, width % 2))
  image = jnp.pad(image, [(0, 0)] * (image.ndim - 2) + list(sides))
  rows, columns = image.shape[-2] // 2, image.shape[-1] // 2
  return image.reshape(*image.shape[:-2], rows, 2, columns, 2).sum((-3, -1))
