"""Volume rendering: front-to-back compositing of samples along rays.

Notation: a alpha of a sample, T transmittance in front of it, w = T a its
weight (Max 1995; NeRF, eq. 3). The samples of a ray are ordered, near first.
"""

import jax.numpy as jnp

from mirage_jax.arrays import Array, Float


def composite_weights(
  alpha: Float[Array, '*batch s'],
) -> tuple[Float[Array, '*batch s'], Float[Array, '*batch']]:
  """Weights of the samples, and what light passes all of them.

  The weights and the last transmittance sum to one. The few samples are
  multiplied one by one: a scan costs more than it saves.
  """
  passing, weights = jnp.ones_like(alpha[..., 0]), []
  for s in range(alpha.shape[-1]):
    weights.append(passing * alpha[..., s])
    passing = passing * (1 - alpha[..., s])
  return jnp.stack(weights, axis=-1), passing


def composite(
  weights: Float[Array, '*batch s'], values: Float[Array, '*batch s f']
) -> Float[Array, '*batch f']:
  """Weighted sum of the samples' values."""
  return (weights[..., None] * values).sum(-2)
