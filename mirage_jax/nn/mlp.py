"""The feed-forward block."""

import flax.linen as nn
import jax

from mirage_jax.arrays import Array, Float
from mirage_jax.sharding import constrain


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
    width = x.shape[-1]
    hidden = int(width * self.expansion)
    # One row a token: XLA's CPU products over several batch axes are slow.
    y = x.reshape(-1, width)
    y = nn.Dense(hidden, dtype=self.dtype, name='up')(y)
    y = constrain(y, 'batch', 'hidden')
    y = nn.Dense(width, dtype=self.dtype, name='down')(jax.nn.gelu(y))
    return y.reshape(x.shape)
