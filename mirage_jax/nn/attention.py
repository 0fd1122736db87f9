"""Multi-head attention with normalised queries and keys.

Three kernels compute it. `plain` works everywhere and keeps all weights in
memory. The others keep none (FlashAttention, arXiv 2205.14135): `flash` is
JAX's Pallas kernel for TPUs, `cudnn` cuDNN's for GPUs.
"""

import functools
from typing import Any

import flax.linen as nn
import flax.struct
import jax
import jax.numpy as jnp
from jax.sharding import PartitionSpec

from mirage_jax.arrays import Array, Float
from mirage_jax.nn.embeddings import rotate
from mirage_jax.sharding import RULES, constrain

KERNELS = ('plain', 'flash', 'cudnn')
BLOCK = 512  # queries, and keys, of a block of the TPU's kernel


@flax.struct.dataclass
class KeysValues:
  """Keys and values for later tokens; `nn.scan` adds a leading layer axis.

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
    kernel: one of `KERNELS`.
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
    """Attends from all tokens to each other, and to those of the past.

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


def attend(
  queries: Float[Array, 'b h q k'],
  keys: Float[Array, 'b h s k'],
  values: Float[Array, 'b h s k'],
  kernel: str = 'plain',
) -> Float[Array, 'b h q k']:
  """Computes `softmax(queries keys^T / sqrt(k)) values`, softmax in float32.

  Raises:
    ValueError: for an unknown kernel.
  """
  if kernel == 'plain':
    return _plain(queries, keys, values)
  if kernel == 'flash':
    return _flash(queries, keys, values)
  if kernel == 'cudnn':
    return _cudnn(queries, keys, values)
  raise ValueError(f'unknown kernel {kernel!r}; have {", ".join(KERNELS)}')


def _plain(queries: Array, keys: Array, values: Array) -> Array:
  scale = queries.shape[-1] ** -0.5
  logits = jnp.einsum('bhqk,bhsk->bhqs', queries * scale, keys)
  weights = jax.nn.softmax(logits.astype(jnp.float32), axis=-1)
  return jnp.einsum('bhqs,bhsk->bhqk', weights.astype(values.dtype), values)


def _cudnn(queries: Array, keys: Array, values: Array) -> Array:
  turned = (jnp.swapaxes(x, 1, 2) for x in (queries, keys, values))
  out = jax.nn.dot_product_attention(*turned, implementation='cudnn')
  return jnp.swapaxes(out, 1, 2)


def _flash(queries: Array, keys: Array, values: Array) -> Array:
  # Here, as Pallas takes a while to be imported, and few runs need it.
  from jax.experimental.pallas.ops.tpu import flash_attention as tpu

  q, s = queries.shape[2], keys.shape[2]
  kernel = functools.partial(
    tpu.flash_attention,
    sm_scale=queries.shape[-1] ** -0.5,
    block_sizes=_blocks(tpu, q, s),
  )
  mesh = jax.sharding.get_abstract_mesh()
  if mesh.empty:
    return kernel(queries, keys, values)
  # XLA does not divide a kernel; every device takes its examples and heads.
  spec = PartitionSpec(RULES['batch'], RULES['heads'])
  divided = jax.shard_map(
    kernel, in_specs=(spec, spec, spec), out_specs=spec, check_vma=False
  )
  return divided(queries, keys, values)


def _blocks(tpu: Any, queries: int, keys: int) -> Any:
  q, s = block(queries), block(keys)
  return tpu.BlockSizes(
    block_q=q,
    block_k_major=s,
    block_k=s,
    block_b=1,
    block_q_major_dkv=q,
    block_k_major_dkv=s,
    block_k_dkv=s,
    block_q_dkv=q,
    block_k_major_dq=s,
    block_k_dq=s,
    block_q_dq=q,
  )


def block(tokens: int) -> int:
  """Finds the largest block of at most `BLOCK` that divides the tokens."""
  return max(
    (size for size in range(128, BLOCK + 1, 128) if tokens % size == 0),
    default=tokens,
  )
