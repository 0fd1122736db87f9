"""Operations of the generator's matrix products, counted by hand.

Two for each pair of numbers that is multiplied. What a memory does (lookups,
small sums) and everything elementwise is left out: a chip's peak, which these
are compared with, is of matrix products.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

from mirage_jax.models import world_model
from mirage_jax.models.codec import PixelCodec
from mirage_jax.models.generator import FEATURE_SIDE, RAY_SIDE


@dataclasses.dataclass(frozen=True)
class Sizes:
  """Sizes that the counts depend on.

  Attributes:
    transformer: settings of `VideoTransformer`.
    patch: pixels along a side of a token.
    height, width: of a frame, pixels.
    context, target: frames.
    written: frames written to a memory, 0 without one.
    learned_features: of a point.
    channels, masks: of the codec.
  """

  transformer: Mapping[str, Any]
  patch: int
  height: int
  width: int
  context: int
  target: int
  written: int = 0
  learned_features: int = 8
  channels: int = PixelCodec.channels
  masks: int = PixelCodec.masks

  @property
  def tokens(self) -> int:
    """Counts the tokens of a frame."""
    return self.height * self.width // self.patch**2


def train_step(sizes: Sizes) -> float:
  """Counts one example: forward, twice that backward, and recomputation.

  The first products, of pixels, have no gradient to hand on.
  """
  forward = _embed(sizes) + _head(sizes) + _readout(sizes) + _encode(sizes)
  first = _embed(sizes) + _readout(sizes)
  attention, products = _blocks(sizes, (sizes.context, sizes.target))
  remat = sizes.transformer.get('remat', 'none')
  flash = sizes.transformer.get('kernel', 'plain') != 'plain'
  again = {'none': 0, 'dots': 0, 'full': 1}[remat] * products
  # A kernel without stored weights makes them again for each gradient.
  backward = 3.5 if flash else 2.0
  again += {'none': 0, 'dots': 1, 'full': 1}[remat] * attention
  return 3 * forward - first + 3 * products + (1 + backward) * attention + again


def sample_chunk(sizes: Sizes, calls: int) -> float:
  """Counts a chunk: the context once, the frames in every network call."""
  share = sizes.context / (sizes.context + sizes.target)
  context = sum(_blocks(sizes, (sizes.context,))) + share * _embed(sizes)
  return context + calls * one_call(sizes)


def one_call(sizes: Sizes) -> float:
  """Counts one call of the network on a chunk with encoded context."""
  both = sum(_blocks(sizes, (sizes.context, sizes.target)))
  blocks = both - sum(_blocks(sizes, (sizes.context,)))
  share = sizes.target / (sizes.context + sizes.target)
  return blocks + _head(sizes) + share * _embed(sizes) + _readout(sizes)


def _blocks(sizes: Sizes, frames: tuple[int, ...]) -> tuple[float, float]:
  """Counts attention and weight products; parts attend to those before."""
  d, layers = sizes.transformer['width'], sizes.transformer['layers']
  expansion = sizes.transformer.get('expansion', 4.0)
  attention = products = 0.0
  seen = 0
  for count in frames:
    seen += count
    queries, keys = count * sizes.tokens, seen * sizes.tokens
    attention += layers * 4 * queries * keys * d
    products += layers * queries * 2 * d * d * (4 + 2 * expansion)
    products += count * 2 * d * (2 * (d // 2) + 6 * d)
  return attention, products


def _embed(sizes: Sizes) -> float:
  frames = sizes.context + sizes.target
  inputs = sizes.patch**2 * (sizes.channels + 1) + RAY_SIDE**2 * 6
  return 2.0 * frames * sizes.tokens * inputs * sizes.transformer['width']


def _head(sizes: Sizes) -> float:
  outputs = sizes.patch**2 * (sizes.channels + sizes.masks + 1)
  return (
    2.0 * sizes.target * sizes.tokens * outputs * sizes.transformer['width']
  )


def _readout(sizes: Sizes) -> float:
  if not sizes.written:
    return 0.0
  inputs = sizes.patch**2 * (sizes.channels + 2)
  inputs += FEATURE_SIDE**2 * sizes.learned_features
  return 2.0 * sizes.target * sizes.tokens * inputs * sizes.transformer['width']


def _encode(sizes: Sizes) -> float:
  """Counts the encoder of what is written, a group of pixels at a time."""
  groups = sizes.tokens * FEATURE_SIDE**2
  colours = 3 * (sizes.patch // FEATURE_SIDE) ** 2
  each = world_model.HIDDEN * (colours + sizes.learned_features)
  return 2.0 * sizes.written * groups * each
