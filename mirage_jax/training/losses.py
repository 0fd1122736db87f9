"""Losses of a prediction against the training targets of a chunk."""

import flax.struct
import jax.numpy as jnp
import optax

from mirage_jax.arrays import Array, Bool, Float
from mirage_jax.flow.paths import MIN_LEVEL
from mirage_jax.models.codec import Codec
from mirage_jax.models.world_model import Prediction

MASKS = ('dynamic', 'sky')
LOSSES = ('rgb', 'depth', *MASKS)


@flax.struct.dataclass
class Targets:
  """Training targets of a chunk.

  Attributes:
    clean: clean values of the codec.
    known: 1 where the depth in `clean` is known, else 0.
    dynamic: probability of "moves".
    sky: probability of "at infinity".
    masks_known: whether an example's `dynamic` and `sky` are.
  """

  clean: Float[Array, 'b t y x c']
  known: Float[Array, 'b t y x 1']
  dynamic: Float[Array, 'b t h w']
  sky: Float[Array, 'b t h w']
  masks_known: Bool[Array, 'b 2']


def compute_losses(
  codec: Codec,
  prediction: Prediction,
  targets: Targets,
  levels: Float[Array, 'b t'],
) -> dict[str, Float[Array, 'b']]:
  """Computes each loss of `LOSSES` for each example; unknown masks cost 0.

  The squared error of the clean sample over `t^2` is that of the velocity
  (arXiv 2511.13720, table 1).
  """
  scale = 1.0 / jnp.maximum(levels, MIN_LEVEL) ** 2
  error = prediction.clean - targets.clean
  error = error**2 * scale[..., None, None, None]
  parts = codec.losses(error, targets.known)
  for i, name in enumerate(MASKS):
    logit, mask = getattr(prediction, name), getattr(targets, name)
    cost = optax.sigmoid_binary_cross_entropy(logit, mask)
    parts[name] = cost.mean((1, 2, 3)) * targets.masks_known[:, i]
  return parts
