"""A state of fixed size that is carried from frame to frame.

Linear attention (Katharopoulos et al. 2020) with a learned decay a head, as in
the retentive and state-space models that carry long video: every token of a
frame adds the product of its key and its value to a matrix, and the tokens of a
view ask it with queries made of their rays alone.

Constant bytes and cost. Of the laws it claims only those: what is written later
counts more, nothing can be taken out again, and two states cannot be merged.
"""

import dataclasses
from typing import ClassVar

import flax.linen as nn
import flax.struct
import jax
import jax.numpy as jnp

from mirage_jax.arrays import Array, Float
from mirage_jax.geometry.cameras import Cameras, pluecker, relative_to
from mirage_jax.memory.contract import (
  Law,
  Memory,
  MemoryState,
  Observed,
  Readout,
  Views,
  empty_readout,
)
from mirage_jax.nn.embeddings import patchify

DEPTH_SCALE_M = 2.0


@flax.struct.dataclass
class RecurrentState(MemoryState):
  """State of the linear attention.

  Attributes:
    sums: `[h, k, v + 1]` products of keys and values; the last value is 1.
  """

  sums: Float[Array, 'h k v']


@flax.struct.dataclass
class RecurrentObservation:
  """Tokens of frames: pixels (colour, inverse depth) and rays."""

  pixels: Float[Array, 't n p']
  rays: Float[Array, 't n r']


class Projections(nn.Module):
  """Keys, values, queries, and the decay of every head.

  Attributes:
    heads: h.
    keys: k.
    values: v.
  """

  heads: int
  keys: int
  values: int

  def setup(self):
    """Makes the layers."""
    self.key_hidden = nn.Dense(2 * self.keys)
    self.key_out = nn.Dense(self.heads * self.keys)
    self.value = nn.Dense(self.heads * self.values)
    # A head keeps half of what it has for 4, 16, 64, ... frames.
    self.decay = self.param(
      'decay', lambda _: 2.0 * jnp.arange(1.0, self.heads + 1)
    )

  def place(self, rays: Float[Array, 't n r']) -> Float[Array, 't n h k']:
    """Keys and queries: positive features of a ray."""
    hidden = jnp.sin(self.key_hidden(rays))
    out = self.key_out(hidden)
    return jax.nn.elu(out.reshape(*rays.shape[:2], self.heads, -1)) + 1

  def content(
    self, pixels: Float[Array, 't n p'], rays: Float[Array, 't n r']
  ) -> Float[Array, 't n h v']:
    """Values, and a 1 behind them."""
    out = self.value(jnp.concatenate([pixels, rays], -1))
    out = out.reshape(*pixels.shape[:2], self.heads, -1)
    return jnp.concatenate([out, jnp.ones_like(out[..., :1])], -1)

  def keep(self) -> Float[Array, 'h']:
    """Computes the share of the state that a frame keeps."""
    return 0.5 ** (0.5**self.decay)

  def __call__(
    self, pixels: Float[Array, 't n p'], rays: Float[Array, 't n r']
  ) -> Float[Array, 't h k v']:
    """Computes each frame's update: keys times values, mean of tokens."""
    keys, values = self.place(rays), self.content(pixels, rays)
    return jnp.einsum('tnhk,tnhv->thkv', keys, values) / rays.shape[1]


@dataclasses.dataclass(frozen=True)
class Recurrent(Memory):
  """The configuration of a recurrent state.

  Attributes:
    patch: pixels along a side of a token.
    heads: h.
    keys: k.
    values: v.
  """

  patch: int = 8
  heads: int = 4
  keys: int = 128
  values: int = 32
  claims: ClassVar[frozenset[Law]] = frozenset({Law.CONSTANT, Law.HONEST})
  renders: ClassVar[bool] = False
  from_layout: ClassVar[tuple[str, ...]] = ('patch',)

  def layers(self) -> nn.Module:
    """The projections."""
    return Projections(self.heads, self.keys, self.values)

  def init(self, frame: Float[Array, '4 4']) -> RecurrentState:
    """Nothing yet; rays will be in the axes of `frame`."""
    return RecurrentState(
      frame=jnp.asarray(frame, jnp.float32),
      sums=jnp.zeros((self.heads, self.keys, self.values + 1)),
      overflow=jnp.bool_(False),
    )

  def observe(
    self, state: RecurrentState, observed: Observed
  ) -> RecurrentObservation:
    """Cuts the frames into tokens."""
    depth_m = observed.depth_m
    height, width = depth_m.shape[-2:]
    near = jnp.where(depth_m > 0, 1 / (1 + depth_m / DEPTH_SCALE_M), 0)
    pixels = jnp.concatenate([observed.features[..., :3], near[..., None]], -1)
    return RecurrentObservation(
      patchify(pixels, self.patch),
      self._rays(state, observed.cameras, height, width),
    )

  def write(
    self,
    state: RecurrentState,
    observation: RecurrentObservation,
    layers: nn.Module | None = None,
  ) -> RecurrentState:
    """Adds the frames one after the other."""
    assert layers is not None
    added = layers(observation.pixels, observation.rays)
    keep = layers.keep()[:, None, None]
    sums = state.sums
    for each in added:
      sums = keep * sums + each
    return dataclasses.replace(state, sums=sums)

  def read(
    self,
    state: RecurrentState,
    views: Views,
    layers: nn.Module | None = None,
  ) -> Readout:
    """Reads the tokens of the views by their rays; nothing is rendered."""
    assert layers is not None
    height, width = views.height, views.width
    queries = layers.place(self._rays(state, views.cameras, height, width))
    found = jnp.einsum('tnhk,hkv->tnhv', queries, state.sums)
    values = found[..., :-1] / (found[..., -1:] + 1e-3)
    known = found[..., -1:] / (1 + found[..., -1:])
    t = values.shape[0]
    rows = height // self.patch
    tokens = jnp.concatenate([values * known, known], -1)
    return empty_readout(
      views, tokens=tokens.reshape(t, rows, width // self.patch, -1)
    )

  def load_factor(self, state: RecurrentState) -> Float[Array, ' l']:
    """1 once anything was written."""
    return (jnp.abs(state.sums).sum() > 0).astype(jnp.float32)[None]

  def _rays(
    self, state: RecurrentState, cameras: Cameras, height: int, width: int
  ) -> Float[Array, 't n r']:
    cameras = relative_to(cameras, state.frame)
    side = 2  # rays along a side of a token
    rows, columns = (side * x // self.patch for x in (height, width))
    return patchify(pluecker(cameras, rows, columns), side)
