"""Patches, noise-level embeddings and rotary positions."""

import jax.numpy as jnp

from mirage_jax.arrays import Array, Float


def patchify(
  x: Float[Array, '*batch h w c'], patch: int
) -> Float[Array, '*batch n p']:
  """Makes square patches tokens, row by row: n = h w / patch^2."""
  *batch, h, w, c = x.shape
  x = x.reshape(*batch, h // patch, patch, w // patch, patch, c)
  x = jnp.swapaxes(x, -4, -3)
  return x.reshape(*batch, (h // patch) * (w // patch), patch * patch * c)


def unpatchify(
  x: Float[Array, '*batch n p'], patch: int, height: int, width: int
) -> Float[Array, '*batch h w c']:
  """Inverts `patchify`."""
  *batch, _, p = x.shape
  c = p // patch**2
  x = x.reshape(*batch, height // patch, width // patch, patch, patch, c)
  x = jnp.swapaxes(x, -4, -3)
  return x.reshape(*batch, height, width, c)


def level_embedding(
  t: Float[Array, '*batch'], width: int
) -> Float[Array, '*batch d']:
  """Computes sinusoids of a level in [0, 1], periods about 1/100 to 10."""
  frequencies = jnp.exp(jnp.linspace(jnp.log(0.6), jnp.log(600.0), width // 2))
  angles = t[..., None] * frequencies
  return jnp.concatenate([jnp.cos(angles), jnp.sin(angles)], axis=-1)


def rotary_angles(
  times: Float[Array, 't'], rows: int, columns: int, head_width: int
) -> Float[Array, 'n a']:
  """Computes angles of 3-D RoPE (arXiv 2104.09864, one block of pairs an axis).

  A quarter of the pairs encodes time, the rest row and column in equal parts.
  n = t * rows * columns; a = head_width / 2 pairs.
  """
  pairs = head_width // 2
  per_axis = [pairs - 2 * (3 * pairs // 8), 3 * pairs // 8, 3 * pairs // 8]
  grid = jnp.meshgrid(
    times,
    jnp.arange(rows, dtype=jnp.float32),
    jnp.arange(columns, dtype=jnp.float32),
    indexing='ij',
  )
  blocks = []
  for position, count in zip(grid, per_axis, strict=True):
    frequencies = 100.0 ** (-jnp.arange(count) / max(count, 1))
    blocks.append(position.reshape(-1, 1) * frequencies)
  return jnp.concatenate(blocks, axis=-1)


def rotate(
  x: Float[Array, '*batch n k'], angles: Float[Array, 'n a']
) -> Float[Array, '*batch n k']:
  """Rotates the pairs `(x[i], x[i + k/2])` by the tokens' angles."""
  cos, sin = jnp.cos(angles), jnp.sin(angles)
  first, second = jnp.split(x, 2, axis=-1)
  return jnp.concatenate(
    [first * cos - second * sin, first * sin + second * cos], axis=-1
  ).astype(x.dtype)
