"""Distributions of noise levels in training."""

import dataclasses

import jax

from mirage_jax.arrays import Array, Float, Key


@dataclasses.dataclass(frozen=True)
class LogitNormal:
  """`t = sigmoid(mean + std z)` (Stable Diffusion 3, arXiv 2403.03206).

  Attributes:
    mean: of the logit; above 0 trains more on high noise.
    std: of the logit.
  """

  mean: float = 0.8
  std: float = 1.0

  def sample(
    self, key: Key[Array, ''], shape: tuple[int, ...]
  ) -> Float[Array, '...']:
    """Draws noise levels in (0, 1) of the given shape."""
    return jax.nn.sigmoid(self.mean + self.std * jax.random.normal(key, shape))
