"""Own return: come back to a place that the player itself made up.

Little is observed, then the camera leaves and comes back over generated places.
Every later view is compared with the player's own earlier view of the same
place: the generated frame, out of the window, with the nearest camera. Counted
are pixels seen in that frame and in no observed one. The earlier view is warped
by the scene's true depth, which does nothing where the camera retraces its
path. No true colour is used.

A video that never changes agrees with itself perfectly, so the score is held
against the same comparison with an earlier frame that is no revisit (the
farthest camera, at least `ELSEWHERE_M` of `pose_distance` away):
`own_contrast_db` is what coming back gains over being anywhere, both pictures
as they are, without warping: a frozen video's is 0.
"""

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np

from mirage_jax.arrays import Array, Bool, Int
from mirage_jax.evaluation.baselines import rollouts
from mirage_jax.evaluation.closed_loop import Played, Result
from mirage_jax.evaluation.metrics import image, perceptual
from mirage_jax.evaluation.metrics.visibility import visibility
from mirage_jax.evaluation.suite import OWN, EpisodeSuite
from mirage_jax.geometry.clips import Clip, take_frames

MIN_SHARE = 0.1
ELSEWHERE_M = 2.0  # as far as turning by 57 degrees


@flax.struct.dataclass
class Pairs:
  """Pairs of a generated frame and the earlier one that it is compared with.

  Attributes:
    first: `[t]` index of the earlier view among the generated frames.
    other: `[t]` index of a frame out of the window that is no revisit.
    mask: `[t, h, w]` pixels of the later view that are compared.
    contrasted: `[t]` whether `other` is far enough to be somewhere else.
  """

  first: Int[Array, 't']
  other: Int[Array, 't']
  mask: Bool[Array, 't h w']
  contrasted: Bool[Array, 't']


def find_pairs(
  clip: Clip, in_window: Bool[Array, 't s'], observed: int
) -> Pairs:
  """The revisits of generated places in one episode `[s, ...]`."""
  rest = take_frames(clip, slice(observed, None))
  given = take_frames(clip, slice(observed))
  count = rest.rgb.shape[0]
  generated_window = in_window[:, observed:]
  index = jnp.arange(count)
  start = jnp.where(
    in_window, jnp.arange(in_window.shape[1]), in_window.shape[1]
  )
  past = index[None] < (start.min(1) - observed)[:, None]
  past = past & ~generated_window
  distance = rollouts.pose_distance(rest.cameras, rest.cameras)
  first = jnp.where(past, distance, jnp.inf).argmin(1)
  other = jnp.where(past, distance, -jnp.inf).argmax(1)
  seen = visibility(rest, rest)
  known = visibility(rest, given).lenient.any(1)
  mask = seen.strict[index, first] & ~known & past.any(1)[:, None, None]
  windowed = (seen.lenient & generated_window[:, :, None, None]).any(1)
  far = past.any(1) & (distance[index, other] > ELSEWHERE_M)
  return Pairs(first, other, mask & ~windowed, far)


find_pairs_batch = jax.jit(
  lambda clips, in_window, observed: jax.lax.map(
    lambda clip: find_pairs(clip, in_window, observed), clips
  ),
  static_argnums=2,
)


@jax.jit
def _compare(truth: Clip, rgb: Array, pairs: Pairs):
  """PSNR of revisits, its gain over non-revisits, and the first views."""

  def one(args):
    truth, rgb, pairs = args
    made = truth.replace(rgb=rgb)
    choice = jnp.broadcast_to(pairs.first[:, None, None], pairs.mask.shape)
    first = rollouts.warp_frames(made, truth, choice) / 255.0
    now, other = image.unit_rgb(rgb), image.unit_rgb(rgb[pairs.other])

    def score(earlier, mask):
      error = image.squared_error(now, earlier)
      return image.psnr_db(image.masked_mean(error, mask))

    both = pairs.mask & pairs.contrasted[:, None, None]
    same = image.unit_rgb(rgb[pairs.first])
    gain = score(same, both) - score(other, both)
    shown = jnp.where(pairs.mask[..., None], first, now)
    return score(first, pairs.mask), gain, shown

  return jax.lax.map(one, (truth, rgb, pairs))


class OwnReturn:
  """A player's second view of what it made up, against its own first view.

  `own_psnr_db` is over all compared pixels of an episode; `own_lpips` over its
  frames of which at least a tenth is compared (other pixels are equal in both
  pictures); `own_contrast_db`.
  """

  def add(self, played: Played, result: Result) -> Array:
    """Scores a batch by its revisits of generated places."""
    clips = jax.tree.map(jnp.asarray, played.clips)
    window = jnp.asarray(played.window)
    pairs = find_pairs_batch(clips, window, played.observed)
    frames = pairs.mask.mean((2, 3)) >= MIN_SHARE
    for name, rollout in played.rollouts.items():
      rgb = jnp.asarray(rollout.clip.rgb)
      truth = jax.tree.map(jnp.asarray, played.truth)
      revisit, gain, first = _compare(truth, rgb, pairs)
      distance = perceptual.lpips(image.unit_rgb(rgb), first)
      result.add(
        name,
        {
          'own_psnr_db': revisit,
          'own_contrast_db': gain,
          'own_lpips': image.masked_mean(distance, frames, (1,)),
        },
      )
    return np.asarray(pairs.mask)

  def finish(self, result: Result) -> None:
    """Nothing needs all episodes."""


SUITE = EpisodeSuite(
  name='own_return',
  question='Does a generated place look the same the second time?',
  note=(
    'Later views of generated places against the own first view of them. '
    '`own_contrast_db`: gain over the same comparison with a frame from '
    'elsewhere; a frozen video gains nothing.'
  ),
  main=('own_contrast_db',),
  stage=OWN,
  score=lambda seed: OwnReturn(),
  ratios=('own_lpips',),
)
