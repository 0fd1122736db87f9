"""Multi-head attention with normalised queries and keys."""

import flax.linen as nn
import flax.struct
import jax.numpy as jnp

from mirage_jax.arrays import Array, Float
from mirage_jax.nn.attending import attend
from mirage_jax.nn.embeddings import rotate
from mirage_jax.sharding import constrain


@flax.struct.dataclass
class KeysValues:
  """What later tokens attend to; under `nn.scan` with a leading layer axis.

  Attributes:
    keys: `[b, h, s, k]`, normalised and rotated.
    values: `[b, h, s, k]`.
  """

  keys: Float[Array, '*b h s k']
  values: Float[Array, '*b h s k']


class Attention(nn.Module):
  """Attention with QK-norm (arXiv 2302.05442) and rotary positions.

  Attributes:
    heads: number of heads; divides the width.
    dtype: of the products; the softmax is float32.
    kernel: what computes them; see `attend`.
  """

  heads: int
  dtype: str = 'float32'
  kernel: str = 'plain'

  @nn.compact
  def __call__(
    self,
    x: Float[Array, 'b n d'],
    angles: Float[Array, 'n a'],
    past: KeysValues | None = None,
  ) -> tuple[Float[Array, 'b n d'], KeysValues]:
    """All tokens attend to each other, and to those of the past.

    Returns:
      The new tokens, and their own keys and values.
    """
    b, n, width = x.shape
    head = width // self.heads
    # One row a token: XLA's CPU products over several batch axes are slow.
    qkv = nn.DenseGeneral(
      (3, self.heads, head), use_bias=False, dtype=self.dtype, name='qkv'
    )(x.reshape(b * n, width))
    qkv = qkv.reshape(b, n, 3, self.heads, head)
    qkv = constrain(qkv, 'batch', None, None, 'heads', None)
    q, k, v = jnp.moveaxis(qkv, (2, 3), (0, 2))  # each [b, h, n, k]
    q = rotate(nn.RMSNorm(dtype=self.dtype, name='query_norm')(q), angles)
    k = rotate(nn.RMSNorm(dtype=self.dtype, name='key_norm')(k), angles)
    own = KeysValues(k, v)
    if past is not None:
      k = jnp.concatenate([past.keys, k], axis=2)
      v = jnp.concatenate([past.values, v], axis=2)
    out = jnp.swapaxes(attend(q, k, v, self.kernel), 1, 2)  # [b, n, h, k]
    out = nn.Dense(width, use_bias=False, dtype=self.dtype, name='out')(
      out.reshape(b * n, width)
    )
    return out.reshape(b, n, width), own
