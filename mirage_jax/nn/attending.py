"""The product at the heart of attention, by hand or by a kernel.

`plain` works everywhere and keeps all weights in memory. The others keep none
(FlashAttention, arXiv 2205.14135): `flash` is JAX's Pallas kernel for TPUs,
`cudnn` cuDNN's for GPUs.
"""

import functools

import jax
import jax.numpy as jnp
from jax.sharding import PartitionSpec

from mirage_jax.arrays import Array, Float
from mirage_jax.sharding import RULES

KERNELS = ('plain', 'flash', 'cudnn')
BLOCK = 512  # queries, and keys, of a block of the TPU's kernel


def attend(
  queries: Float[Array, 'b h q k'],
  keys: Float[Array, 'b h s k'],
  values: Float[Array, 'b h s k'],
  kernel: str = 'plain',
) -> Float[Array, 'b h q k']:
  """`softmax(queries keys^T / sqrt(k)) values`; the softmax is float32.

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


def _plain(queries, keys, values):
  scale = queries.shape[-1] ** -0.5
  logits = jnp.einsum('bhqk,bhsk->bhqs', queries * scale, keys)
  weights = jax.nn.softmax(logits.astype(jnp.float32), axis=-1)
  return jnp.einsum('bhqs,bhsk->bhqk', weights.astype(values.dtype), values)


def _cudnn(queries, keys, values):
  turned = (jnp.swapaxes(x, 1, 2) for x in (queries, keys, values))
  out = jax.nn.dot_product_attention(*turned, implementation='cudnn')
  return jnp.swapaxes(out, 1, 2)


def _flash(queries, keys, values):
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


def _blocks(tpu, queries: int, keys: int):
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
  """The largest block of at most `BLOCK` that divides the tokens."""
  return max(
    (size for size in range(128, BLOCK + 1, 128) if tokens % size == 0),
    default=tokens,
  )
