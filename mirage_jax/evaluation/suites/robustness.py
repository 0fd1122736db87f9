"""Robustness: the closed loop again, with what is observed spoiled.

Only what players are given is disturbed, and only in the observed frames: depth
is multiplied by noise or missing, poses are off. The path ahead and all scores
are true. A metric's condition is its suffix, as in
`returned_psnr_db@depth_noise=0.05`.
"""

import dataclasses
import pathlib
from collections.abc import Callable, Mapping

import jax
import jax.numpy as jnp
import numpy as np

from mirage_jax.arrays import Array, Float, Key
from mirage_jax.evaluation import closed_loop
from mirage_jax.evaluation.baselines import rollouts
from mirage_jax.evaluation.closed_loop import Curve, Disturbance, Result
from mirage_jax.evaluation.entrants import Entrant
from mirage_jax.evaluation.reports import tables
from mirage_jax.evaluation.reports.tables import Table
from mirage_jax.evaluation.suite import (
  RETURN,
  Setting,
  Suite,
  make_setup,
  open_clips,
)
from mirage_jax.evaluation.suites.closed_loop import ClosedLoop
from mirage_jax.geometry.clips import Clip

CURVE = 'returned_psnr_db'
# kind: sizes. Shares of depth; metres; degrees; shares of pixels.
CONDITIONS: Mapping[str, tuple[float, ...]] = {
  'depth_noise': (0.02, 0.05, 0.2),
  'depth_missing': (0.2, 0.6),
  'pose_m': (0.01, 0.03, 0.1),
  'pose_deg': (0.5, 2.0, 5.0),
}


def disturbance(kind: str, size: float) -> Disturbance:
  """Makes a disturbance of observed frames.

  Args:
    kind: one of `CONDITIONS`.
    size: standard deviation of the relative error of each pixel's depth; share
      of 4 x 4 blocks without depth; or root-mean-square error of a frame's
      position (metres) or of its rotation (degrees).
  """
  spoil = {
    'depth_noise': _depth_noise,
    'depth_missing': _depth_missing,
    'pose_m': _moved,
    'pose_deg': _turned,
  }[kind]

  def disturb(clips: Clip, observed: int, key: Key[jax.Array, '']) -> Clip:
    spoiled = spoil(clips, size, key)
    given = np.arange(clips.time_s.shape[1]) < observed

    def choose(new, old):
      shape = (1, -1) + (1,) * (np.ndim(old) - 2)
      return np.where(given.reshape(shape), new, old)

    return jax.tree.map(choose, spoiled, clips)

  return disturb


def _depth_noise(clips: Clip, size: float, key) -> Clip:
  noise = jax.random.normal(key, clips.depth_m.shape)
  depth_m = clips.depth_m * jnp.maximum(1 + size * noise, 0.05)
  return dataclasses.replace(clips, depth_m=depth_m)


def _depth_missing(clips: Clip, size: float, key) -> Clip:
  *batch, height, width = clips.depth_m.shape
  shape = (*batch, -(-height // 4), -(-width // 4))
  kept = jax.random.uniform(key, shape) >= size
  kept = jnp.repeat(jnp.repeat(kept, 4, -1), 4, -2)[..., :height, :width]
  return dataclasses.replace(clips, depth_m=clips.depth_m * kept)


def _moved(clips: Clip, size: float, key) -> Clip:
  pose = jnp.asarray(clips.world_from_camera)
  shift = size / 3**0.5 * jax.random.normal(key, pose[..., :3, 3].shape)
  return dataclasses.replace(
    clips, world_from_camera=pose.at[..., :3, 3].add(shift)
  )


def _turned(clips: Clip, size: float, key) -> Clip:
  pose = jnp.asarray(clips.world_from_camera)
  angles = jnp.deg2rad(size) / 3**0.5
  turn = rotation(angles * jax.random.normal(key, pose[..., :3, 3].shape))
  turned = pose[..., :3, :3] @ turn
  return dataclasses.replace(
    clips, world_from_camera=pose.at[..., :3, :3].set(turned)
  )


def rotation(vector: Float[Array, '*b 3']) -> Float[Array, '*b 3 3']:
  """Rotation about an axis by its length in radians (Rodrigues)."""
  angle = jnp.linalg.norm(vector, axis=-1, keepdims=True)
  x, y, z = jnp.moveaxis(vector / jnp.maximum(angle, 1e-12), -1, 0)
  zero = jnp.zeros_like(x)
  cross = jnp.stack(
    [
      jnp.stack([zero, -z, y], -1),
      jnp.stack([z, zero, -x], -1),
      jnp.stack([-y, x, zero], -1),
    ],
    -2,
  )
  angle = angle[..., None]
  return (
    jnp.eye(3) + jnp.sin(angle) * cross + (1 - jnp.cos(angle)) * (cross @ cross)
  )


def run(play: Callable[[Disturbance | None], Result]) -> Result:
  """Plays the closed loop as it is, and once for every condition.

  Args:
    play: plays it with observed frames disturbed, or not.

  Returns:
    The returned pixels' metrics, with their conditions, and curves of PSNR
    against the size of each disturbance.
  """
  joined = Result()
  _join(joined, play(None), '')
  for kind, sizes in CONDITIONS.items():
    for size in sizes:
      _join(joined, play(disturbance(kind, size)), condition(kind, size))
    curve = {
      name: _curve(values, kind, sizes)
      for name, values in joined.values.items()
    }
    joined.curves[kind] = Curve(CURVE, kind, curve)
  return joined


def condition(kind: str, size: float) -> str:
  """The suffix of a metric's name."""
  return f'@{kind}={size:g}'


def _join(joined: Result, found: Result, suffix: str) -> None:
  for name, values in found.values.items():
    for metric, numbers in values.items():
      if metric.startswith('returned_'):
        joined.add(name, {metric + suffix: numbers})


def _curve(
  values: Mapping[str, np.ndarray], kind: str, sizes: tuple[float, ...]
) -> tuple[np.ndarray, np.ndarray]:
  """Mean PSNR at each size, beginning with none."""
  suffixes = ['', *(condition(kind, size) for size in sizes)]
  means = [float(np.nanmean(values[CURVE + suffix])) for suffix in suffixes]
  return np.array([0.0, *sizes]), np.array(means)


def evaluate(
  setting: Setting, entrants: Mapping[str, Entrant], folder: pathlib.Path
) -> Table:
  """Plays the closed loop as it is and with the observed frames disturbed."""
  clips = open_clips(setting, entrants, RETURN)
  baselines = dict(rollouts.BASELINES)
  del baselines['ground_truth']  # it has the frames that are not observed

  def play(disturb: Disturbance | None) -> Result:
    setup = make_setup(setting, entrants, len(clips), disturb)
    scores = {'robustness': ClosedLoop(setting.seed)}
    results = closed_loop.play(clips, setup, scores, baselines)
    return results['robustness']

  result = run(play)
  for kind, curve in result.curves.items():
    tables.plot_curve(folder / f'plots/robustness_{kind}.png', curve)
  ratios = ('returned_lpips', 'returned_region_lpips')
  return tables.summarise(result, list(entrants), setting.seed, ratios)


SUITE = Suite(
  name='robustness',
  question='Does the closed loop stand noisy depth and poses?',
  note=(
    'The closed loop, with only the observed frames spoiled: `depth_noise`, '
    'standard deviation of the relative error of each pixel; `depth_missing`, '
    'share of 4 x 4 blocks without depth; `pose_m` and `pose_deg`, root-mean-'
    'square errors of the position and rotation of a frame. Without a suffix: '
    'as they are.'
  ),
  main=(
    'returned_psnr_db@depth_noise=0.05',
    'returned_psnr_db@pose_m=0.03',
  ),
  run=evaluate,
  needs_models=True,
  in_all=False,  # ten times the closed loop
)
