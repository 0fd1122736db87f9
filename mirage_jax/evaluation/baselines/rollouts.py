"""Players without a model, to hold scores honest.

A score that one of these reaches says nothing: `frozen_video` repeats the last
observed frame and `copy_first_frame` the first, `copy_nearest_frame` shows the
observed frame whose camera is nearest. `ground_truth` is the best there is, and
`oracle_memory` shows what a perfect memory of the observed colours
could, found by exact depth: the most that remembering alone can reach. As
memories, they are sure of all that they show.
"""

import dataclasses
import functools

import jax
import jax.numpy as jnp

from mirage_jax.arrays import Array, Float, Int, Key
from mirage_jax.evaluation.metrics.visibility import visibility
from mirage_jax.evaluation.rollouts import Rollout, check_observed
from mirage_jax.geometry.cameras import Cameras, project, unproject
from mirage_jax.geometry.clips import Clip, take_frames
from mirage_jax.memory.contract import Readout

METRES_PER_RADIAN = 2.0  # turning by a radian is as far as walking 2 m


def pose_distance(first: Cameras, second: Cameras) -> Float[Array, '*b t s']:
  """Distance of every camera of `first` [t] to every one of `second` [s], m."""
  a, b = first.world_from_camera, second.world_from_camera
  moved = a[..., :, None, :3, 3] - b[..., None, :, :3, 3]
  trace = jnp.einsum('...tij,...sij->...ts', a[..., :3, :3], b[..., :3, :3])
  angle = jnp.arccos(jnp.clip((trace - 1) / 2, -1.0, 1.0))
  return jnp.linalg.norm(moved, axis=-1) + METRES_PER_RADIAN * angle


def sample_colours(
  rgb: Float[Array, 's h w 3'],
  frame: Int[Array, 'p'],
  uv: Float[Array, 'p 2'],
) -> Float[Array, 'p 3']:
  """Bilinear colours of frames at normalised places; borders repeat."""
  height, width = rgb.shape[1:3]
  at = uv * jnp.array([width, height]) - 0.5
  at = jnp.clip(at, 0.0, jnp.array([width - 1.0, height - 1.0]))
  low = jnp.floor(at).astype(jnp.int32)
  part = at - low
  total = jnp.zeros((len(uv), 3))
  for dx, dy in ((0, 0), (1, 0), (0, 1), (1, 1)):
    x = jnp.minimum(low[:, 0] + dx, width - 1)
    y = jnp.minimum(low[:, 1] + dy, height - 1)
    share_x = part[:, 0] if dx else 1 - part[:, 0]
    share_y = part[:, 1] if dy else 1 - part[:, 1]
    total += (share_x * share_y)[:, None] * rgb[frame, y, x]
  return total


def warp_frames(
  source: Clip, view: Clip, choice: Int[Array, 't h w']
) -> Float[Array, 't h w 3']:
  """Colours of `view`'s points, each looked up in the chosen source frame.

  Args:
    source: frames `[s]` whose colours are used.
    view: frames `[t]` whose depth and cameras say where the points are.
    choice: for each pixel of the view, which source frame.

  Returns:
    Colours in the units of `source.rgb` (0 to 255 for uint8), float32.
  """
  rgb = jnp.asarray(source.rgb, jnp.float32)

  def one(args):
    camera, depth_m, choice = args
    points = unproject(camera, depth_m).reshape(-1, 1, 3)
    frame = choice.reshape(-1)
    others = jax.tree.map(lambda x: jnp.asarray(x)[frame], source.cameras)
    uv, _ = project(others, points)
    return sample_colours(rgb, frame, uv[:, 0]).reshape(*depth_m.shape, 3)

  arrays = (view.cameras, view.depth_m, jnp.maximum(choice, 0))
  return jax.lax.map(one, jax.tree.map(jnp.asarray, arrays))


def _split(clips: Clip, observed: int) -> tuple[Clip, Clip]:
  check_observed(clips.time_s.shape[1], observed)
  given = take_frames(clips, slice(observed), axis=1)
  return given, take_frames(clips, slice(observed, None), axis=1)


def _shown(
  rest: Clip, rgb: Array, depth_m: Array, known: Array | float = 1.0
) -> Rollout:
  """Frames that claim no depth, and a memory that does, where it is `known`."""
  none, one = jnp.zeros(rest.depth_m.shape), jnp.ones(rest.depth_m.shape)
  unit = jnp.asarray(rgb, jnp.float32) / 127.5 - 1
  known = known * one
  readout = Readout(unit * known[..., None], depth_m * known, known, known)
  return Rollout(dataclasses.replace(rest, rgb=rgb, depth_m=none), readout)


def _repeated(rest: Clip, given: Clip, which: slice) -> Rollout:
  """One of the given frames, for ever."""
  rgb = jnp.broadcast_to(given.rgb[:, which], rest.rgb.shape)
  depth_m = jnp.broadcast_to(given.depth_m[:, which], rest.depth_m.shape)
  return _shown(rest, rgb, depth_m)


def ground_truth(
  clips: Clip, observed: int, key: Key[Array, ''] | None = None
) -> Rollout:
  """The true frames: what a consistency score is at best."""
  rest = _split(clips, observed)[1]
  shown = _shown(rest, rest.rgb, rest.depth_m)
  return dataclasses.replace(shown, clip=rest)


def frozen_video(
  clips: Clip, observed: int, key: Key[Array, ''] | None = None
) -> Rollout:
  """Repeats the last observed frame for ever."""
  given, rest = _split(clips, observed)
  return _repeated(rest, given, slice(-1, None))


def copy_first_frame(
  clips: Clip, observed: int, key: Key[Array, ''] | None = None
) -> Rollout:
  """Repeats the first observed frame for ever."""
  given, rest = _split(clips, observed)
  return _repeated(rest, given, slice(1))


def copy_nearest_frame(
  clips: Clip, observed: int, key: Key[Array, ''] | None = None
) -> Rollout:
  """Shows, for each view, the observed frame with the nearest camera."""
  given, rest = _split(clips, observed)
  nearest = pose_distance(rest.cameras, given.cameras).argmin(-1)  # [b, t]
  rgb, depth_m = (
    jax.vmap(lambda frames, i: jnp.asarray(frames)[i])(frames, nearest)
    for frames in (given.rgb, given.depth_m)
  )
  return _shown(rest, rgb, depth_m)


@functools.partial(jax.jit, static_argnums=1)
def oracle_memory(
  clips: Clip, observed: int, key: Key[Array, ''] | None = None
) -> Rollout:
  """Shows observed colours at their exact places, the mean colour elsewhere.

  Of the observed frames that saw a point, the one with the nearest camera
  gives its colour.
  """
  given, rest = _split(clips, observed)

  def one(scene):
    given, rest = scene
    seen = visibility(rest, given).strict  # [t, s, h, w]
    distance = pose_distance(rest.cameras, given.cameras)[:, :, None, None]
    cost = jnp.where(seen, distance, jnp.inf)
    choice = jnp.where(seen.any(1), cost.argmin(1), -1)
    rgb = warp_frames(given, rest, choice)
    mean = given.rgb.astype(jnp.float32).mean((0, 1, 2))
    known = choice >= 0
    return jnp.where(known[..., None], rgb, mean), known

  rgb, known = jax.lax.map(one, (given, rest))
  return _shown(rest, jnp.round(rgb).astype(jnp.uint8), rest.depth_m, known)


BASELINES = {
  'ground_truth': ground_truth,
  'oracle_memory': oracle_memory,
  'copy_nearest_frame': copy_nearest_frame,
  'copy_first_frame': copy_first_frame,
  'frozen_video': frozen_video,
}
