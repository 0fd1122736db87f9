"""Object consistency: whether the objects are the same after a return.

An object of a generated frame counts when its true pixels are at least
`MIN_SHARE` of the picture, and at least `RETURNED_SHARE` of those are returned
pixels (see `visibility`); movers do not count. It is cut out of the true and of
the generated frame by the same square round its true pixels, and both are
resized.

`object_frechet` and `object_kid` are distances between all true and all
generated crops, by VGG16's features: they notice objects that look unlike any.
`object_lpips` compares each crop with its own true one, and so notices objects
that are in the wrong place or have been swapped.
"""

import dataclasses

import numpy as np
from PIL import Image

from mirage_jax.arrays import Array, Int
from mirage_jax.evaluation.closed_loop import Played, Result
from mirage_jax.evaluation.metrics import perceptual
from mirage_jax.evaluation.metrics.feature_sets import FeatureSets
from mirage_jax.evaluation.suite import RETURN, EpisodeSuite
from mirage_jax.geometry.clips import Clip

MIN_SHARE = 40 / 64**2
RETURNED_SHARE = 0.5
MARGIN = 2  # pixels round an object
SIDE = perceptual.MIN_SIZE  # pixels of a resized crop


@dataclasses.dataclass(frozen=True)
class Crop:
  """An object in a frame.

  Attributes:
    episode: of the batch.
    frame: after the observed ones.
    object_id: as in the clip.
    box: left, top, right and bottom, pixels.
  """

  episode: int
  frame: int
  object_id: int
  box: tuple[int, int, int, int]


def find_crops(object_id: Int[Array, 'b t h w'], returned: Array) -> list[Crop]:
  """The objects that count, in the order of episodes and frames."""
  crops = []
  for b, frames in enumerate(np.asarray(object_id)):
    for t, ids in enumerate(frames):
      number = np.bincount(ids.reshape(-1))
      back = np.bincount(ids[returned[b, t]], minlength=len(number))
      wanted = (number >= MIN_SHARE * ids.size) & (
        back >= RETURNED_SHARE * number
      )
      for which in np.flatnonzero(wanted[1:]) + 1:
        crops.append(Crop(b, t, int(which), _square(ids == which)))
  return crops


def _square(mask: Array) -> tuple[int, int, int, int]:
  """The square round a mask, with a margin, moved into the image."""
  rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
  height, width = mask.shape
  tall, wide = np.ptp(rows) + 1, np.ptp(columns) + 1
  side = min(max(tall, wide) + 2 * MARGIN, height, width)
  left = (columns[0] + columns[-1] + 1 - side) // 2
  top = (rows[0] + rows[-1] + 1 - side) // 2
  left, top = np.clip([left, top], 0, [width - side, height - side])
  return int(left), int(top), int(left + side), int(top + side)


def cut(clip: Clip, crops: list[Crop]) -> Array:
  """`[n, SIDE, SIDE, 3]` in [0, 1]: the crops of `clip` `[b, t, ...]`."""
  rgb = np.asarray(clip.rgb)
  pictures = [
    np.asarray(
      Image.fromarray(rgb[crop.episode, crop.frame]).resize(
        (SIDE, SIDE), Image.Resampling.BILINEAR, box=crop.box
      )
    )
    for crop in crops
  ]
  pictures = np.reshape(pictures, (-1, SIDE, SIDE, 3))
  return pictures.astype(np.float32) / 255


class ObjectConsistency:
  """Compares objects after a return with the true ones."""

  def __init__(self, seed: int = 0):
    self._crops = FeatureSets(seed)

  def add(self, played: Played, result: Result) -> None:
    """Scores a batch.

    Raises:
      ValueError: the clips do not say which pixel is of which object.
    """
    ids = played.episodes.object_id
    if ids is None:
      raise ValueError(
        'object_consistency needs clips with object_id, and these have none; '
        'choose other suites for this source'
      )
    crops = find_crops(ids[:, played.observed :], played.returned.mask)
    episode = np.array([crop.episode for crop in crops], int)
    true = cut(played.truth, crops)
    made = {name: cut(x.clip, crops) for name, x in played.rollouts.items()}
    self._crops.add(true, made, episode, len(ids))
    if not crops:
      return
    for name, pictures in made.items():
      apart = np.asarray(perceptual.lpips(pictures, true))
      each = [apart[episode == i] for i in range(len(ids))]
      mean = [x.mean() if len(x) else np.nan for x in each]
      result.add(name, {'object_lpips': np.array(mean)})

  def finish(self, result: Result) -> None:
    """Adds the distances between the sets of crops."""
    result.sampled = self._crops.distances('object_')
    crops, episodes = self._crops.counts
    result.facts = {'crops': crops, 'episodes': episodes}


SUITE = EpisodeSuite(
  name='object_consistency',
  question='Are objects the same after a return?',
  note=(
    'Crops of static objects that have returned, of at least '
    f'{MIN_SHARE:.1%} of the picture. `object_frechet` (64 '
    "principal components) and `object_kid`: of VGG16's features of all crops; "
    '`object_lpips`: each crop against its own true one.'
  ),
  main=('object_frechet', 'object_lpips'),
  stage=RETURN,
  score=ObjectConsistency,
  ratios=('object_lpips',),
  needs_objects=True,
)
