"""adaLN-zero: normalisation whose scale, shift and gate follow a condition.

DiT (arXiv 2212.09748); the projection from the condition is shared by all
layers, each with its own offset (PixArt-alpha, arXiv 2310.00426).
"""

import flax.linen as nn
import jax.numpy as jnp

from mirage_jax.arrays import Array, Float


def normalise(
  x: Float[Array, '*batch d'], epsilon: float = 1e-6
) -> Float[Array, '*batch d']:
  """Applies layer norm without parameters, in float32."""
  y = x.astype(jnp.float32)
  y = y - y.mean(-1, keepdims=True)
  y = y * jnp.reciprocal(jnp.sqrt((y**2).mean(-1, keepdims=True) + epsilon))
  return y.astype(x.dtype)


def modulate(
  x: Float[Array, 'b t n d'],
  scale: Float[Array, 'b t d'],
  shift: Float[Array, 'b t d'],
) -> Float[Array, 'b t n d']:
  """Computes `(1 + scale) norm(x) + shift`, one condition a frame."""
  return normalise(x) * (1 + scale[:, :, None]) + shift[:, :, None]


class Modulation(nn.Module):
  """A layer's own offset to the shared modulation; zero at initialisation.

  Attributes:
    parts: number of vectors of width d (scales, shifts and gates).
  """

  parts: int

  @nn.compact
  def __call__(
    self, shared: Float[Array, 'b t m']
  ) -> tuple[Float[Array, 'b t d'], ...]:
    """Splits `shared` (m = parts d) after adding the layer's offset."""
    offset = self.param('offset', nn.initializers.zeros, shared.shape[-1:])
    return tuple(jnp.split(shared + offset, self.parts, axis=-1))
