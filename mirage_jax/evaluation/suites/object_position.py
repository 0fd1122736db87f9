"""Object position: whether objects are where they were, after a return.

An object counts in a generated frame when it is in view there (its true pixels
are at least `MIN_SHARE` of the picture, and some of them have depth), was in
view in an observed frame, and is in no frame of the window. It is looked for by
its own appearance: its true pixels are laid over the generated frame at every
shift of up to `REACH` of the picture's width, and the shift with
the smallest root-mean-square difference of colours is where it is drawn; above
`PRESENT` it is missing. The error in metres is that shift at the object's true
depth. An object is right when it is there and within `NEAR_M`.

An object whose looks do not tell its place, such as a bare wall's, cannot be
right or wrong: it counts only if, in the true frame itself, no shift beyond
`NEAR_M` looks like it (`UNLIKE` times `PRESENT` or more apart).

Static objects are `object_...`; what moves is `mover_...`.
"""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np

from mirage_jax.arrays import Array, Bool, Float, Int
from mirage_jax.evaluation.closed_loop import Played, Result
from mirage_jax.evaluation.metrics import image as metrics
from mirage_jax.evaluation.suite import RETURN, EpisodeSuite

MIN_SHARE = 40 / 64**2  # of a picture
SEEN_SHARE = 8 / 64**2  # in a frame of the window
REACH = 3 / 8  # of a picture's width
PRESENT = 0.08  # of [0, 1]
UNLIKE = 1.25
NEAR_M = 0.5
FAR_M = 0.75  # least distance that the reach must cover
INSIDE = 0.6  # least share of an object that a shift leaves in the image
AT_ONCE = 64


@dataclasses.dataclass(frozen=True)
class Sightings:
  """Objects to be found, `[n]`.

  Attributes:
    episode: of the batch.
    frame: after the observed ones.
    object_id: as in the clip.
    moves: whether it is a mover.
    mask: `[n, h, w]` its true pixels.
    metres: `[n, 2]` metres that a pixel of x and y is at its depth.
  """

  episode: Int[np.ndarray, 'n']
  frame: Int[np.ndarray, 'n']
  object_id: Int[np.ndarray, 'n']
  moves: Bool[np.ndarray, 'n']
  mask: Bool[np.ndarray, 'n h w']
  metres: Float[np.ndarray, 'n 2']

  def take(self, which: Array) -> 'Sightings':
    """Some of them, by an index or a mask."""
    fields = dataclasses.fields(self)
    return Sightings(*(getattr(self, f.name)[which] for f in fields))


def pixels_of(ids: Int[Array, 's h w'], objects: int) -> Int[Array, 's o']:
  """Counts each frame's pixels of each object; column 0 is the rest."""
  return np.stack([np.bincount(x.reshape(-1), minlength=objects) for x in ids])


def find_sightings(played: Played) -> Sightings:
  """All objects that came back into view out of the window."""
  clips, observed = played.episodes, played.observed
  found = []
  for b, ids in enumerate(np.asarray(clips.object_id)):
    size = ids[0].size
    number = pixels_of(ids, int(ids.max()) + 1)
    before = (number[:observed] >= MIN_SHARE * size).any(0)
    for t, windowed in enumerate(np.asarray(played.window)):
      s = observed + t
      hidden = (number[windowed] < SEEN_SHARE * size).all(0)
      wanted = (number[s] >= MIN_SHARE * size) & hidden & before
      for which in np.flatnonzero(wanted[1:]) + 1:
        mask = ids[s] == which
        depth_m = np.asarray(clips.depth_m)[b, s][mask]
        if not depth_m.any():
          continue
        depth_m = np.median(depth_m[depth_m > 0])
        lens = np.asarray(clips.intrinsics)[b, s, :2] * mask.shape[::-1]
        moves = np.asarray(clips.dynamic)[b, s][mask].mean() > 0.5
        found.append((b, t, which, moves, mask, depth_m / lens))
  if not found:
    shape = clips.depth_m.shape[-2:]
    none = np.zeros(0, int)
    return Sightings(
      none, none, none, none > 0, np.zeros((0, *shape), bool), np.zeros((0, 2))
    )
  return Sightings(*(np.array(x) for x in zip(*found, strict=True)))


@functools.partial(jax.jit, static_argnames='reach')
def differences(
  rgb: Float[Array, 'n h w 3'],
  template: Float[Array, 'n h w 3'],
  mask: Bool[Array, 'n h w'],
  reach: int,
) -> Float[Array, 'n s s']:
  """Colour difference of an object at every shift, root mean square.

  Args:
    rgb: frames in [0, 1] to look in.
    template: frames that show the objects.
    mask: their pixels there.
    reach: largest shift; index `reach` is no shift, y first.

  Returns:
    Infinity where too little of the object would be in the image.
  """
  height, width = mask.shape[-2:]
  size = (height + 2 * reach, width + 2 * reach)
  spectrum = lambda x: jnp.fft.rfft2(x, size, axes=(1, 2))
  weight = mask.astype(jnp.float32)[..., None]
  shown = template * weight
  inside = spectrum(jnp.ones_like(weight))

  def correlate(image: Array, kernel: Array) -> Array:
    product = (image * spectrum(kernel).conj()).sum(-1)
    full = jnp.fft.irfft2(product, size, axes=(1, 2))
    full = jnp.roll(full, (reach, reach), (1, 2))
    return full[:, : 2 * reach + 1, : 2 * reach + 1]

  squares = (rgb**2).sum(-1, keepdims=True)
  count = correlate(inside, weight)
  total = (
    correlate(spectrum(squares), weight)
    - 2 * correlate(spectrum(rgb), shown)
    + correlate(inside, (shown**2).sum(-1, keepdims=True))
  )
  mean = jnp.sqrt(jnp.maximum(total, 0) / jnp.maximum(3 * count, 1))
  enough = count >= INSIDE * weight.sum((1, 2, 3))[:, None, None] - 0.5
  return jnp.where(enough, mean, jnp.inf)


def reach_of(mask: Bool[Array, 'n h w']) -> int:
  """The largest shift, pixels."""
  return round(REACH * mask.shape[-1])


def in_parts(rgb: Array, template: Array, mask: Array) -> np.ndarray:
  """`differences` of any number, always compiled for `AT_ONCE`."""
  parts, reach = [], reach_of(mask)
  for start in range(0, len(mask), AT_ONCE):
    some = [x[start : start + AT_ONCE] for x in (rgb, template, mask)]
    count = len(some[0])
    pad = [(0, AT_ONCE - count)]
    some = [np.pad(x, pad + [(0, 0)] * (x.ndim - 1)) for x in some]
    parts.append(np.asarray(differences(*some, reach=reach))[:count])
  side = 2 * reach + 1
  return np.concatenate(parts) if parts else np.zeros((0, side, side))


def metres_of(sightings: Sightings) -> Float[np.ndarray, 'n s s']:
  """Measures how far every shift moves each object."""
  reach = reach_of(sightings.mask)
  shift = np.arange(-reach, reach + 1)
  x, y = (shift * sightings.metres[:, i, None] for i in (0, 1))
  return np.hypot(y[:, :, None], x[:, None, :])


def can_be_told(sightings: Sightings, truth: Array) -> Bool[np.ndarray, 'n']:
  """Marks objects that look like themselves only near their own place."""
  apart, metres = in_parts(truth, truth, sightings.mask), metres_of(sightings)
  elsewhere = np.where(metres > NEAR_M, apart, np.inf).min((1, 2))
  reached = metres[:, reach_of(sightings.mask), -1] >= FAR_M
  return reached & (elsewhere >= UNLIKE * PRESENT)


def locate(
  sightings: Sightings, rgb: Array, truth: Array
) -> dict[str, Float[np.ndarray, 'n']]:
  """Finds the place where each object is drawn.

  Returns:
    `difference` of colours there, the error as `px` and `m`, and the least
    difference `elsewhere`, beyond `NEAR_M`.
  """
  reach = reach_of(sightings.mask)
  shift = np.arange(-reach, reach + 1)
  far = np.hypot(*np.meshgrid(shift, shift, indexing='ij')).reshape(-1)
  apart = in_parts(rgb, truth, sightings.mask).reshape(-1, far.size)
  best = (apart + 1e-6 * far).argmin(1)  # the nearest of equal shifts
  each = np.arange(len(apart))
  metres = metres_of(sightings).reshape(-1, far.size)
  return {
    'difference': apart[each, best],
    'px': far[best],
    'm': metres[each, best],
    'elsewhere': np.where(metres > NEAR_M, apart, np.inf).min(1),
  }


class ObjectPosition:
  """Finds objects in generated frames and compares their places."""

  def __init__(self):
    self._counts = {'objects': 0, 'movers': 0, 'cannot_be_told': 0}

  def add(self, played: Played, result: Result) -> None:
    """Scores a batch.

    Raises:
      ValueError: the clips do not say which pixel is of which object.
    """
    if played.episodes.object_id is None:
      raise ValueError(
        'object_position needs clips with object_id, and these have none; '
        'choose other suites for this source'
      )
    every = find_sightings(played)
    true = np.asarray(metrics.unit_rgb(played.truth.rgb))
    kept = can_be_told(every, true[every.episode, every.frame])
    seen = every.take(kept)
    self._counts['cannot_be_told'] += int((~kept).sum())
    self._counts['objects'] += int((~seen.moves).sum())
    self._counts['movers'] += int(seen.moves.sum())
    where = seen.episode, seen.frame
    for name, rollout in played.rollouts.items():
      rgb = np.asarray(metrics.unit_rgb(rollout.clip.rgb))
      found = locate(seen, rgb[where], true[where])
      result.add(name, summarise(seen, found, len(true)))

  def finish(self, result: Result) -> None:
    """Says how many there were."""
    result.facts = self._counts


def summarise(
  seen: Sightings, found: dict[str, Float[np.ndarray, 'n']], episodes: int
) -> dict[str, Float[np.ndarray, 'e']]:
  """Figures of each episode; NaN where it has no such object."""
  there = found['difference'] <= PRESENT
  figures = {
    'right': there & (found['m'] <= NEAR_M),
    'missing': ~there,
    'ghost': found['elsewhere'] <= PRESENT,
    'px': np.where(there, found['px'], np.nan),
    'm': np.where(there, found['m'], np.nan),
  }
  table = {}
  for kind, wanted in (('object', ~seen.moves), ('mover', seen.moves)):
    for metric, values in figures.items():
      each = [values[wanted & (seen.episode == i)] for i in range(episodes)]
      table[f'{kind}_{metric}'] = np.array([_mean(x) for x in each])
  return table


def _mean(values: Array) -> float:
  values = values[np.isfinite(values)]
  return float(values.mean()) if len(values) else np.nan


SUITE = EpisodeSuite(
  name='object_position',
  question='Are objects where they were?',
  note=(
    'Objects that were observed, left the window and came back, looked for by '
    f'their own appearance. `right`: there, and within '
    f'{NEAR_M} m; `missing` is wrong; `ghost`: drawn beyond '
    'that, by itself or beside the right one; `px` and `m`: the error of those '
    'that are there. `mover`: what moves by itself.'
  ),
  main=('object_right', 'mover_right'),
  stage=RETURN,
  score=lambda seed: ObjectPosition(),
  ratios=('object_right', 'mover_right'),
  needs_objects=True,
)
