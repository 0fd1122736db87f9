"""The feed-forward block."""

import flax.linen as nn
import jax

from mirage_jax.arrays import Array, Float


class Mlp(nn.Module):
  """Two layers with a GELU between.

  Attributes:
    expansion: hidden width over input width.
    dtype: of the products.
  """

  expansion: float = 4.0
  dtype: str = 'float32'

  @nn.compact
  def __call__(self, x: Float[Array, '*batch d']) -> Float[Array, '*batch d']:
    """Maps the last axis to itself."""
    hidden = int(x.shape[-1] * self.expansion)
    y = nn.Dense(hidden, dtype=self.dtype, name='up')(x)
    return nn.Dense(x.shape[-1], dtype=self.dtype, name='down')(jax.nn.gelu(y))
