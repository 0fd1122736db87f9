"""Visibility: pixels of a frame that other frames see, too.

Every pixel with a depth is a world point. It was visible in another frame when
it projects into that image and that frame's own depth at this place is the
point's depth (otherwise something stood before it). Sky has no depth and movers
do not stay, so neither is ever counted. Two tests: `strict` errs towards "not
seen" (borders, grazing surfaces), `lenient` towards "seen". A *returned* pixel
was strictly seen in an observed frame and not even leniently in the window.
"""

import functools

import flax.struct
import jax
import jax.numpy as jnp

from mirage_jax.arrays import Array, Bool, Float, Int
from mirage_jax.geometry.cameras import Cameras, project, unproject
from mirage_jax.geometry.clips import Clip, take_frames

STRICT_REL, LENIENT_REL = 0.03, 0.06
SLACK_M = 0.03


@flax.struct.dataclass
class Visibility:
  """Visibility of each query frame's pixels (t) in each other frame (s).

  Attributes:
    strict: `[t, s, h, w]` surely seen.
    lenient: `[t, s, h, w]` perhaps seen; strict implies lenient.
  """

  strict: Bool[Array, 't s h w']
  lenient: Bool[Array, 't s h w']


def _range3(depth_m: Float[Array, '*s h w']) -> tuple[Array, Array]:
  """Smallest and largest valid depth of each pixel's 3 x 3 neighbourhood."""

  def pool(x, start, combine):
    dims = (1,) * (x.ndim - 2) + (3, 3)
    return jax.lax.reduce_window(x, start, combine, dims, (1,) * x.ndim, 'SAME')

  nearest = pool(jnp.where(depth_m > 0, depth_m, jnp.inf), jnp.inf, jax.lax.min)
  return nearest, pool(depth_m, 0.0, jax.lax.max)


def _lookup(image: Float[Array, 'h w'], uv: Float[Array, 'p 2']) -> Array:
  height, width = image.shape
  column = jnp.clip(jnp.floor(uv[:, 0] * width), 0, width - 1)
  row = jnp.clip(jnp.floor(uv[:, 1] * height), 0, height - 1)
  return image[row.astype(jnp.int32), column.astype(jnp.int32)]


def _seen(points, valid, camera: Cameras, depth_m, low, high):
  """Both tests of one frame's points in one other frame."""
  height, width = depth_m.shape
  uv, z = project(camera, points)
  margin = jnp.array([1.0 / width, 1.0 / height])
  front = valid & (z > 1e-2)
  inside = ((uv >= 0) & (uv < 1)).all(-1)
  near_inside = ((uv >= -margin) & (uv < 1 + margin)).all(-1)
  here = _lookup(depth_m, uv)
  agrees = jnp.abs(z - here) <= STRICT_REL * z + SLACK_M
  between = (z >= _lookup(low, uv) * (1 - LENIENT_REL) - SLACK_M) & (
    z <= _lookup(high, uv) * (1 + LENIENT_REL) + SLACK_M
  )
  strict = front & inside & (here > 0) & agrees
  return strict, strict | (front & near_inside & between)


@jax.jit
def visibility(query: Clip, others: Clip) -> Visibility:
  """Visibility of the static pixels of `query` [t] in the frames `others` [s].

  Both clips need exact depth; `query.dynamic`, if known, is left out.
  """
  height, width = query.depth_m.shape[-2:]
  low, high = _range3(others.depth_m)
  valid = static_pixels(query)

  def one(args):
    cameras, depth_m, valid = args
    points = unproject(cameras, depth_m).reshape(-1, 3)
    each = functools.partial(_seen, points, valid.reshape(-1))
    return jax.vmap(each)(others.cameras, others.depth_m, low, high)

  strict, lenient = jax.lax.map(one, (query.cameras, query.depth_m, valid))
  shape = (*strict.shape[:2], height, width)
  return Visibility(strict.reshape(shape), lenient.reshape(shape))


def static_pixels(clip: Clip) -> Bool[Array, '*b t h w']:
  """Pixels with a depth that belong to nothing that moves."""
  valid = jnp.asarray(clip.depth_m) > 0
  return valid if clip.dynamic is None else valid & ~jnp.asarray(clip.dynamic)


@flax.struct.dataclass
class Returned:
  """Pixels that come back into view in the generated frames of one episode.

  Attributes:
    mask: `[t, h, w]` seen in an observed frame, in no frame of the window.
    own: `[t, h, w]` seen in a generated frame before the window, in no
      observed frame and in no frame of the window.
    fresh: `[t, h, w]` seen in no earlier frame at all.
    age: `[t, h, w]` frames since the pixel was last seen before its chunk, 0 =
      never.
  """

  mask: Bool[Array, 't h w']
  own: Bool[Array, 't h w']
  fresh: Bool[Array, 't h w']
  age: Int[Array, 't h w']


def window_frames(
  frames: int, observed: int, context: int, target: int
) -> Bool[Array, 't s']:
  """Marks the frames that were context frames of each generated frame."""
  t, s = jnp.arange(observed, frames), jnp.arange(frames)
  start = observed + (t - observed) // target * target
  return (s[None] < start[:, None]) & (s[None] >= start[:, None] - context)


@functools.partial(jax.jit, static_argnames='observed')
def find_returned(
  clip: Clip, in_window: Bool[Array, 't s'], observed: int
) -> Returned:
  """Returned, own and fresh pixels of the frames after the first `observed`.

  Args:
    clip: the whole episode with exact depth, `[s, ...]`.
    in_window: `[t, s]`, from `window_frames`; several models' windows are
      joined by "or", so that one mask serves them all.
    observed: how many frames were given.
  """
  frames = clip.rgb.shape[0]
  seen = visibility(take_frames(clip, slice(observed, None)), clip)
  s = jnp.arange(frames)
  earlier = s[None] < jnp.arange(observed, frames)[:, None]  # [t, s]
  # The frames of the chunk itself: neither the window nor the past.
  last = jnp.where(in_window, s, -1).max(1, keepdims=True)
  past = earlier & ~in_window & (s[None] <= last)
  given = past & (s[None] < observed)

  def pick(test, which):
    return (test & which[:, :, None, None]).any(1)

  windowed = pick(seen.lenient, in_window)
  was_given = pick(seen.strict, given)
  since = jnp.arange(observed, frames)[:, None] - s[None]
  order = jnp.where(past | in_window, since, frames + 1)[:, :, None, None]
  age = jnp.where(seen.strict & (order <= frames), order, frames + 1).min(1)
  return Returned(
    mask=was_given & ~windowed,
    own=pick(seen.strict, past & ~given)
    & ~pick(seen.lenient, (s < observed)[None] & earlier)
    & ~windowed,
    fresh=static_pixels(take_frames(clip, slice(observed, None)))
    & ~pick(seen.lenient, earlier),
    age=jnp.where(age <= frames, age, 0),
  )


@functools.partial(jax.jit, static_argnames='observed')
def find_returned_batch(
  clips: Clip, in_window: Bool[Array, 't s'], observed: int
) -> Returned:
  """`find_returned` of a batch `[b, s, ...]`, one episode after the other."""
  return jax.lax.map(lambda c: find_returned(c, in_window, observed), clips)
