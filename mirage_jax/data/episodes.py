"""Episodes: what is remembered, what is in the window, what comes next.

An episode is cut from one clip of t frames. The target is a run of frames, the
context (the window) the frames directly before it, the history frames from
before the context. A *revisit* is a target that sees points which some frame
of the history's range saw and no frame of the context did; only a memory can
know them.
"""

import dataclasses
from typing import NamedTuple

import flax.struct
import numpy as np

from mirage_jax.arrays import Array, Bool, Float, Int
from mirage_jax.geometry.clips import Clip, take_frames

GRID = 8  # points to a side of a frame, for the overlap between frames
MIN_REVISIT = 0.1  # share of a target's points that makes it a revisit


@flax.struct.dataclass
class Episode:
  """Input of a training step; `object_*` fields of the clips are None.

  Attributes:
    history: `[*b, n_history, ...]` frames to be written to the memory, in the
      order of time; frames repeat where the past is too short.
    context: `[*b, n_context, ...]` the frames directly before the target.
    target: `[*b, n_target, ...]` the frames to generate.
    key: `[*b, 2]` int32, index of the clip in its source and epoch; with the
      pipeline's seed they identify the example.
    known: `[*b, 2]` whether it is known what moves, and what is sky; where it
      is not, the mask is empty.
  """

  history: Clip
  context: Clip
  target: Clip
  key: Int[Array, '*b 2']
  known: Bool[Array, '*b 2']


class Plan(NamedTuple):
  """Frames of a clip that an episode takes.

  Attributes:
    history, context, target: indices of frames.
    revisit: share of the target's points that the past saw and the context did
      not; 0 where nobody asked.
  """

  history: Int[np.ndarray, 'n_history']
  context: Int[np.ndarray, 'n_context']
  target: Int[np.ndarray, 'n_target']
  revisit: float


def visibility(clip: Clip) -> Bool[np.ndarray, 't n t']:
  """Tests whether frame j sees point n of frame i, `[i, n, j]`.

  Points lie on a coarse grid of each frame's static surfaces. Frame j sees a
  point that falls into its image at the depth it reads there. A clip without
  any depth assumes one, and nothing occludes.
  """
  depth_m = np.asarray(clip.depth_m, np.float32)
  t, height, width = depth_m.shape
  rows = ((np.arange(GRID) + 0.5) * height / GRID).astype(int)
  columns = ((np.arange(GRID) + 0.5) * width / GRID).astype(int)
  at = np.ix_(range(t), rows, columns)
  z = depth_m[at].reshape(t, -1)
  if clip.dynamic is not None:
    z = np.where(clip.dynamic[at].reshape(z.shape), 0, z)
  blind = not depth_m.any()
  if blind:
    z = np.full_like(z, _assumed_depth_m(clip))
  u, v = np.meshgrid((columns + 0.5) / width, (rows + 0.5) / height)
  u, v, seen_z = _reproject(clip, u.ravel(), v.ravel(), z)
  inside = (u >= 0) & (u < 1) & (v >= 0) & (v < 1) & (seen_z > 1e-3)
  inside &= z[:, :, None] > 0
  if not blind:
    i, n, j = np.nonzero(inside)
    row, column = (v[i, n, j] * height).astype(int), (u[i, n, j] * width)
    read, expected = depth_m[j, row, column.astype(int)], seen_z[i, n, j]
    inside[i, n, j] = np.abs(read - expected) < 0.05 + 0.05 * expected
  return inside


def plan_episode(
  rng: np.random.Generator,
  seen: Bool[np.ndarray, 't n t'],
  *,
  history: int,
  context: int,
  target: int,
  revisit_fraction: float,
) -> Plan:
  """Draws an episode; a revisit with probability `revisit_fraction`.

  A clip without revisits gives a random target, so the share of revisits among
  all episodes is at most `revisit_fraction`.

  Raises:
    ValueError: the clip is shorter than context and target.
  """
  frames = len(seen)
  starts = np.arange(context, frames - target + 1)
  if not starts.size:
    raise ValueError(
      f'a clip of {frames} frames is too short for {context} frames of context '
      f'and {target} of target; make clips longer or these two shorter'
    )
  wants_revisit = rng.random() < revisit_fraction
  if wants_revisit:
    share = np.array(
      [
        returned(seen, s, context, target).any(-1).mean()
        for s in starts.tolist()
      ]
    )
    share = np.where(share >= MIN_REVISIT, share, 0)
  else:
    share = np.zeros(len(starts))
  weight = share if share.any() else np.ones(len(starts))
  choice = rng.choice(len(starts), p=weight / weight.sum())
  start = int(starts[choice])
  past = np.arange(start - context)
  first = _cover(returned(seen, start, context, target), (history + 1) // 2)
  first = first if share[choice] else np.zeros(0, int)
  return Plan(
    history=_fill(rng, first, past, start, history),
    context=np.arange(start - context, start),
    target=np.arange(start, start + target),
    revisit=float(share[choice]),
  )


def returned(
  seen: Bool[np.ndarray, 't n t'], start: int, context: int, target: int
) -> Bool[np.ndarray, 'm past']:
  """Points of the target that no context frame sees, by who saw them before."""
  points = seen[start : start + target].reshape(-1, seen.shape[-1])
  in_context = points[:, start - context : start].any(-1, keepdims=True)
  return points[:, : start - context] & ~in_context


def cut_episode(clip: Clip, plan: Plan, key: Int[Array, '2']) -> Episode:
  """The planned frames of a clip, without its objects."""
  masks = (clip.dynamic, clip.sky)
  empty = np.zeros(clip.depth_m.shape, bool)
  dynamic, sky = (empty if mask is None else mask for mask in masks)
  clip = dataclasses.replace(
    clip,
    dynamic=dynamic,
    sky=sky,
    object_id=None,
    object_box=None,
    object_position=None,
    object_velocity=None,
  )
  parts = (take_frames(clip, np.asarray(index)) for index in plan[:3])
  known = np.array([mask is not None for mask in masks])
  return Episode(*parts, key=np.asarray(key, np.int32), known=known)


def _reproject(
  clip: Clip,
  u: Float[np.ndarray, 'n'],
  v: Float[np.ndarray, 'n'],
  z: Float[np.ndarray, 't n'],
) -> tuple[Float[np.ndarray, 't n t'], ...]:
  """Projects every frame's points into every frame: u, v and z-depth."""
  pose, lens = clip.world_from_camera, clip.intrinsics[..., None]  # [t, 4, 1]
  x, y = (u - lens[:, 2]) / lens[:, 0] * z, (v - lens[:, 3]) / lens[:, 1] * z
  local = np.stack([x, y, z], -1).astype(np.float32)  # [t, n, 3]
  world = local @ pose[:, :3, :3].swapaxes(1, 2) + pose[:, None, :3, 3]
  offset = np.einsum('jab,ja->bj', pose[:, :3, :3], pose[:, :3, 3])
  axes = pose[:, :3, :3].transpose(2, 1, 0)  # [3, 3, t]: axis, world, camera
  x, y, z = (world @ axes[k] - offset[k] for k in range(3))
  safe = np.where(np.abs(z) < 1e-6, np.float32(1e-6), z)
  lens = clip.intrinsics.T
  return x / safe * lens[0] + lens[2], y / safe * lens[1] + lens[3], z


def _assumed_depth_m(clip: Clip) -> float:
  """Something like the distance of the scene, where no depth tells."""
  centres = clip.world_from_camera[:, :3, 3]
  return 2 * float(np.linalg.norm(centres.std(0))) + 1e-2


def _cover(
  points: Bool[np.ndarray, 'm past'], most: int
) -> Int[np.ndarray, 'k']:
  """Up to `most` frames that together saw as many points as greed can find."""
  chosen: list[int] = []
  left = points
  while len(chosen) < most and left.any():
    chosen.append(int(left.sum(0).argmax()))
    left = left & ~left[:, chosen[-1] : chosen[-1] + 1]
  return np.array(chosen, int)


def _fill(
  rng: np.random.Generator,
  first: Int[np.ndarray, 'k'],
  past: Int[np.ndarray, 'p'],
  start: int,
  history: int,
) -> Int[np.ndarray, 'n_history']:
  """`first` and random other frames of the past, in the order of time."""
  if not past.size:  # the context is all the past there is
    past = np.arange(start)
  others = rng.permutation(np.setdiff1d(past, first))
  frames = np.concatenate([first, others]).astype(int)
  return np.sort(np.resize(frames, history))
