"""Scores of images and depths against a reference: pure, batched, jittable.

Colours are floats in [0, 1]. A mask picks the pixels that count; where it picks
none, the score is NaN, which `statistics` leaves out and counts. PSNR is taken
of a mean squared error, so that pixels may first be pooled over frames; errors
below `MSE_FLOOR` count as the floor, so a perfect copy scores 60 dB, not inf.
"""

import jax
import jax.numpy as jnp

from mirage_jax.arrays import Array, Bool, Float

MSE_FLOOR = 1e-6


def unit_rgb(rgb: Array) -> Array:
  """Colours in [0, 1] from uint8, or from the model's [-1, 1] floats."""
  if rgb.dtype == jnp.uint8:
    return jnp.asarray(rgb, jnp.float32) / 255.0
  return jnp.clip(jnp.asarray(rgb, jnp.float32) * 0.5 + 0.5, 0.0, 1.0)


def masked_mean(
  values: Float[Array, '...'], mask: Bool[Array, '...'], axes=None
) -> Float[Array, '...']:
  """Mean of `values` where `mask`, over `axes`; NaN where the mask is empty."""
  count = mask.sum(axes)
  total = jnp.where(mask, values, 0.0).sum(axes)
  return jnp.where(count > 0, total / jnp.maximum(count, 1), jnp.nan)


def squared_error(
  rgb: Float[Array, '*b h w 3'], reference: Float[Array, '*b h w 3']
) -> Float[Array, '*b h w']:
  """Squared difference of every pixel, mean over channels."""
  return ((rgb - reference) ** 2).mean(-1)


def psnr_db(mse: Float[Array, '...']) -> Float[Array, '...']:
  """Peak signal-to-noise ratio of a mean squared error, dB."""
  return -10.0 * jnp.log10(jnp.maximum(mse, MSE_FLOOR))


def psnr(
  rgb: Float[Array, '*b h w 3'],
  reference: Float[Array, '*b h w 3'],
  mask: Bool[Array, '*b h w'] | None = None,
) -> Float[Array, '*b']:
  """PSNR of each image over the pixels of `mask` (all, if not given), dB."""
  error = squared_error(rgb, reference)
  mask = jnp.ones(error.shape, bool) if mask is None else mask
  return psnr_db(masked_mean(error, mask, (-2, -1)))


def _blur(image: Float[Array, 'n h w']) -> Float[Array, 'n h w']:
  """Gaussian window of SSIM: 11 taps, sigma 1.5, reflected borders."""
  taps = jnp.exp(-0.5 * (jnp.arange(-5, 6) / 1.5) ** 2)
  taps = taps / taps.sum()
  padded = jnp.pad(image, ((0, 0), (5, 5), (5, 5)), mode='reflect')
  height, width = image.shape[1:]
  zero = jnp.zeros(())
  rows = sum((taps[i] * padded[:, i : i + height] for i in range(11)), zero)
  return sum((taps[i] * rows[:, :, i : i + width] for i in range(11)), zero)


def ssim_map(
  rgb: Float[Array, '*b h w 3'], reference: Float[Array, '*b h w 3']
) -> Float[Array, '*b h w']:
  """Structural similarity at every pixel, mean over channels.

  Wang et al. 2004, equation 13, with the usual constants for a range of 1.
  Images must be at least 6 pixels high and wide.
  """
  *batch, height, width, _ = rgb.shape
  x, y = (
    jnp.moveaxis(image, -1, -3).reshape(-1, height, width)
    for image in (rgb, reference)
  )
  mean_x, mean_y = _blur(x), _blur(y)
  var_x = _blur(x * x) - mean_x**2
  var_y = _blur(y * y) - mean_y**2
  cov = _blur(x * y) - mean_x * mean_y
  c1, c2 = 0.01**2, 0.03**2
  top = (2 * mean_x * mean_y + c1) * (2 * cov + c2)
  bottom = (mean_x**2 + mean_y**2 + c1) * (var_x + var_y + c2)
  return (top / bottom).reshape(*batch, 3, height, width).mean(-3)


def ssim(
  rgb: Float[Array, '*b h w 3'],
  reference: Float[Array, '*b h w 3'],
  mask: Bool[Array, '*b h w'] | None = None,
) -> Float[Array, '*b']:
  """Mean structural similarity over the pixels of `mask` (default: all)."""
  values = ssim_map(rgb, reference)
  mask = jnp.ones(values.shape, bool) if mask is None else mask
  return masked_mean(values, mask, (-2, -1))


def depth_errors(
  depth_m: Float[Array, '*b h w'],
  reference_m: Float[Array, '*b h w'],
  mask: Bool[Array, '*b h w'] | None = None,
) -> dict[str, Float[Array, '*b']]:
  """Relative depth errors of each image where the reference has depth.

  Args:
    depth_m: depths to judge, metres.
    reference_m: true depths, metres; 0 = none, not counted.
    mask: pixels that count, such as `opacity > 0.5`.

  Returns:
    `depth_median_rel`, `depth_mean_rel`: |depth - reference| / reference; and
    `depth_within_5pct`: the share of pixels whose error is below 5 %.
  """
  counted = reference_m > 0 if mask is None else (reference_m > 0) & mask
  safe = jnp.where(counted, reference_m, 1.0)
  error = jnp.where(counted, jnp.abs(depth_m - safe) / safe, jnp.nan)
  flat = error.reshape(*error.shape[:-2], -1)
  return {
    'depth_median_rel': jnp.nanmedian(flat, -1),
    'depth_mean_rel': masked_mean(error, counted, (-2, -1)),
    'depth_within_5pct': masked_mean(
      (error < 0.05).astype(jnp.float32), counted, (-2, -1)
    ),
  }


batched_psnr = jax.jit(psnr)
batched_ssim = jax.jit(ssim)
