"""Pixel groups: a memory holds one point for c x c pixels.

A point carries the mean colour of its pixels, their colours, and their depths
relative to its own: [mean colour (3), c^2 times colour and log depth ratio (4),
learned features]. With c = 1 it is [colour, learned features].
"""

import dataclasses

import jax.numpy as jnp

from mirage_jax.arrays import Array, Float
from mirage_jax.geometry.clips import Clip
from mirage_jax.memory.contract import Observed, Readout
from mirage_jax.models import codec
from mirage_jax.nn.embeddings import patchify, unpatchify


def num_features(group: int, learned: int) -> int:
  """Counts the features of a point, of which `learned` are learned."""
  return 3 + learned + (4 * group**2 if group > 1 else 0)


def fold(
  clip: Clip,
  learned: Float[Array, 't y x l'],
  group: int,
  generated: bool = False,
) -> Observed:
  """Makes one point of each group of frames `[t]` of y c by x c pixels.

  Args:
    clip: the frames.
    learned: features of the points.
    group: pixels along a side of a group, c.
    generated: True if a model generated them.

  Returns:
    Points `[t, y, x]`: z-depth of the pixel in the middle of each group,
    features, and weight: 0 where that pixel may not enter a static field, or
    anything moves. A point is a mover if any of its pixels is.
  """
  t, y, x = learned.shape[:3]
  middle = slice(group // 2, None, group)
  depth = clip.depth_m[:, middle, middle]
  weight = codec.static_weight(clip)[:, middle, middle]
  mover, object_id = jnp.zeros_like(weight), clip.object_id
  if clip.dynamic is not None:
    moving = clip.dynamic.reshape(t, y, group, x, group).any((2, 4))
    mover = moving.astype(jnp.float32)
    weight = weight * (1 - mover)
  if object_id is not None:
    object_id = object_id[:, middle, middle]
  colours = codec.encode_colour(clip.rgb)
  if group > 1:
    colours = _fold_pixels(colours, clip.depth_m, depth, group)
  return Observed(
    clip.cameras,
    clip.time_s,
    depth,
    jnp.concatenate([colours, learned], axis=-1),
    weight,
    mover,
    object_id,
    generated,
  )


def _fold_pixels(
  rgb: Float[Array, 't h w 3'],
  depth_m: Float[Array, 't h w'],
  depth: Float[Array, 't y x'],
  group: int,
) -> Float[Array, 't y x f']:
  """Folds colours and depths of pixels into their points, of depth `depth`."""
  t, y, x = depth.shape
  own = jnp.repeat(jnp.repeat(depth, group, axis=1), group, axis=2)
  known = (own > 0) & (depth_m > 0)
  ratio = jnp.where(known, depth_m / jnp.where(known, own, 1), 1)
  detail = jnp.concatenate(
    [rgb, jnp.clip(jnp.log(ratio), -1, 1)[..., None]], axis=-1
  )
  detail = patchify(detail, group).reshape(t, y, x, -1)
  mean = detail.reshape(t, y, x, group**2, 4)[..., :3].mean(-2)
  return jnp.concatenate([mean, detail], axis=-1)


def unfold(readout: Readout, group: int) -> Readout:
  """Spreads a readout `[t, y, x]` of groups to pixels `[t, y c, x c]`."""
  if group == 1:
    return readout
  t, y, x = readout.depth_m.shape

  def spread(image: Array) -> Array:
    return jnp.repeat(jnp.repeat(image, group, axis=1), group, axis=2)

  last = 3 + 4 * group**2
  detail = readout.features[..., 3:last].reshape(t, y * x, -1)
  detail = unpatchify(detail, group, y * group, x * group)
  learned = spread(readout.features[..., last:])
  return dataclasses.replace(
    readout,
    features=jnp.concatenate([detail[..., :3], learned], axis=-1),
    depth_m=spread(readout.depth_m) * jnp.exp(detail[..., 3]),
    opacity=spread(readout.opacity),
    confidence=spread(readout.confidence),
  )
