"""Indices of a mask's true places, several times faster than `jnp.nonzero`."""

import jax
import jax.numpy as jnp

from mirage_jax.arrays import Array, Bool, Int

_WORD = 32


def first_true(mask: Bool[Array, 'n'], size: int) -> Int[Array, 's']:
  """The first `size` indices at which `mask` is true; n where there are fewer.

  The mask becomes words of bits. A sum over the words says which word holds
  the k-th bit, and counting bits in halves of the word says where.
  """
  count = mask.shape[0]
  bits = jnp.pad(mask, (0, -count % _WORD)).reshape(-1, _WORD)
  places = jnp.arange(_WORD, dtype=jnp.uint32)
  words = (bits.astype(jnp.uint32) << places).sum(1, dtype=jnp.uint32)
  held = _ones(words)
  upto = jnp.cumsum(held)
  wanted = jnp.arange(size)
  found = jnp.searchsorted(upto, wanted, side='right', method='scan_unrolled')
  at = jnp.minimum(found, len(words) - 1)
  word, left = words[at], wanted - (upto - held)[at]
  place = jnp.zeros(size, jnp.uint32)
  for half in (16, 8, 4, 2, 1):
    below = _ones((word >> place) & jnp.uint32((1 << half) - 1))
    beyond = left >= below
    left = jnp.where(beyond, left - below, left)
    place = jnp.where(beyond, place + half, place)
  index = at * _WORD + place.astype(jnp.int32)
  return jnp.where(found < len(words), index, count)


def _ones(words):
  return jax.lax.population_count(words).astype(jnp.int32)
