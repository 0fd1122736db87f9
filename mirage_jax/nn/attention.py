"""Multi-head attention with normalised queries and keys."""

import flax.linen as nn
import jax
import jax.numpy as jnp

from mirage_jax.arrays import Array, Bool, Float
from mirage_jax.nn.embeddings import rotate


class Attention(nn.Module):
  """Self-attention with QK-norm (arXiv 2302.05442) and rotary positions.

  Attributes:
    heads: number of heads; divides the width.
    dtype: of the products; the softmax is float32.
  """

  heads: int
  dtype: str = 'float32'

  @nn.compact
  def __call__(
    self,
    x: Float[Array, 'b n d'],
    angles: Float[Array, 'n a'],
    mask: Bool[Array, 'n n'] | None = None,
  ) -> Float[Array, 'b n d']:
    """Attends where `mask[query, key]` is true (everywhere if None)."""
    b, n, width = x.shape
    head = width // self.heads
    # One row a token: XLA's CPU products over several batch axes are slow.
    qkv = nn.Dense(3 * width, use_bias=False, dtype=self.dtype, name='qkv')(
      x.reshape(b * n, width)
    )
    qkv = qkv.reshape(b, n, 3, self.heads, head)
    q, k, v = qkv[:, :, 0], qkv[:, :, 1], qkv[:, :, 2]  # [b, n, h, k]
    q = rotate(nn.RMSNorm(dtype=self.dtype, name='query_norm')(q), angles)
    k = rotate(nn.RMSNorm(dtype=self.dtype, name='key_norm')(k), angles)
    logits = jnp.einsum('bqhk,bshk->bhqs', q * head**-0.5, k)
    logits = logits.astype(jnp.float32)
    if mask is not None:
      logits = jnp.where(mask, logits, -1e9)
    weights = jax.nn.softmax(logits, axis=-1).astype(v.dtype)
    out = jnp.einsum('bhqs,bshk->bqhk', weights, v).reshape(b * n, width)
    out = nn.Dense(width, use_bias=False, dtype=self.dtype, name='out')(out)
    return out.reshape(b, n, width)
