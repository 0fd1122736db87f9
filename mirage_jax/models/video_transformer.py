"""A transformer over the tokens of posed frames."""

import flax.linen as nn
import jax
import jax.numpy as jnp

from mirage_jax.arrays import Array, Float
from mirage_jax.nn.attention import Attention, KeysValues
from mirage_jax.nn.embeddings import level_embedding, rotary_angles
from mirage_jax.nn.mlp import Mlp
from mirage_jax.nn.modulation import Modulation, modulate, normalise
from mirage_jax.sharding import constrain

REMAT = {
  'none': jax.checkpoint_policies.everything_saveable,
  'full': jax.checkpoint_policies.nothing_saveable,
  'dots': jax.checkpoint_policies.dots_with_no_batch_dims_saveable,
}


class Block(nn.Module):
  """Attention and feed-forward, each modulated and gated (adaLN-zero)."""

  heads: int
  expansion: float
  dtype: str
  kernel: str

  @nn.compact
  def __call__(
    self,
    x: Float[Array, 'b t n d'],
    past: KeysValues | None,
    shared: Float[Array, 'b t m'],
    angles: Float[Array, 'tn a'],
  ) -> tuple[Float[Array, 'b t n d'], KeysValues]:
    """Applies the layer; returns keys and values for later frames too."""
    x = constrain(x, 'batch', None, None, None)
    parts = Modulation(6, name='modulation')(shared)
    scale_a, shift_a, gate_a, scale_m, shift_m, gate_m = parts
    b, t, n, d = x.shape
    y = modulate(x, scale_a, shift_a).reshape(b, t * n, d)
    attention = Attention(self.heads, self.dtype, self.kernel, name='attention')
    y, own = attention(y, angles, past)
    x = x + gate_a[:, :, None] * y.reshape(b, t, n, d)
    y = Mlp(self.expansion, self.dtype, name='mlp')(
      modulate(x, scale_m, shift_m)
    )
    return x + gate_m[:, :, None] * y, own


class VideoTransformer(nn.Module):
  """Full space-time attention over frames, one noise level a frame.

  Attributes:
    width: d.
    layers: number of blocks; their parameters are stacked (`nn.scan`).
    heads: attention heads.
    expansion: of the feed-forward block.
    remat: activations that the backward pass computes again: 'none',
      'full' (all of a block), or 'dots' (all but the products with weights).
    dtype: of the products.
    kernel: of attention; see `nn.attention`.
  """

  width: int
  layers: int
  heads: int
  expansion: float = 4.0
  remat: str = 'none'
  dtype: str = 'float32'
  kernel: str = 'plain'

  @nn.compact
  def __call__(
    self,
    tokens: Float[Array, 'b t n d'],
    levels: Float[Array, 'b t'],
    columns: int,
    past: KeysValues | None = None,
  ) -> tuple[Float[Array, 'b t n d'], KeysValues]:
    """Maps tokens to tokens; all attend to each other and to the past.

    Args:
      tokens: embedded frames.
      levels: noise level of every frame, 0 = clean.
      columns: tokens in a row of a frame.
      past: of the frames before these, as returned for them.

    Returns:
      Normalised tokens of the same shape, and keys and values for frames
      after these, `[layers, b, heads, t n, width / heads]`.
    """
    t, n = tokens.shape[1:3]
    condition = level_embedding(levels, 2 * (self.width // 2))
    condition = nn.Dense(self.width, name='level_in')(condition)
    condition = jax.nn.silu(condition)
    shared = nn.Dense(
      6 * self.width, kernel_init=nn.initializers.zeros, name='level_out'
    )(condition)
    first = 0 if past is None else past.keys.shape[-2] // n
    angles = rotary_angles(
      jnp.arange(first, first + t, dtype=jnp.float32),
      n // columns,
      columns,
      self.width // self.heads,
    )
    stack = nn.scan(
      _rematerialised(self.remat),
      variable_axes={'params': 0},
      split_rngs={'params': True},
      in_axes=(0, nn.broadcast, nn.broadcast),
      length=self.layers,
    )
    blocks = stack(
      self.heads, self.expansion, self.dtype, self.kernel, name='blocks'
    )
    x, own = blocks(tokens, past, shared, angles)
    return normalise(x), own


def _rematerialised(policy: str) -> type[Block]:
  if policy not in REMAT:
    raise ValueError(f'unknown remat {policy!r}; have {", ".join(REMAT)}')
  if policy == 'none':
    return Block
  return nn.remat(Block, prevent_cse=False, policy=REMAT[policy])
