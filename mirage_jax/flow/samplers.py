"""Integrators of `dx/dt = velocity(x, t)` from noise (t = 1) towards data."""

import dataclasses
from collections.abc import Callable

import jax
import jax.numpy as jnp

from mirage_jax.arrays import Array, Float
from mirage_jax.flow.paths import expand

Velocity = Callable[[Array, Array], Array]


@dataclasses.dataclass(frozen=True)
class Sampler:
  """A few steps of Euler or Heun on a shifted time grid.

  The grid is `t' = shift t / (1 + (shift - 1) t)` over equal steps of t: a
  shift above 1 spends more steps at high noise (arXiv 2403.03206, eq. 23).

  Attributes:
    kind: 'euler' (one call a step) or 'heun' (two, second order).
    steps: of the whole way from t = 1 to t = 0.
    shift: of the time grid; 1 = even.

  Raises:
    ValueError: for an unknown kind or steps < 1.
  """

  kind: str = 'euler'
  steps: int = 8
  shift: float = 1.0

  def __post_init__(self):
    if self.kind not in ('euler', 'heun'):
      raise ValueError(f'unknown sampler {self.kind!r}; have euler, heun')
    if self.steps < 1:
      raise ValueError(f'sampler steps is {self.steps}; expected 1 or more')

  def times(self) -> Float[Array, 'steps_and_one']:
    """Makes the time grid from 1 down to 0."""
    t = jnp.linspace(1.0, 0.0, self.steps + 1)
    return self.shift * t / (1 + (self.shift - 1) * t)


def integrate(
  kind: str,
  velocity: Velocity,
  x: Float[Array, '...'],
  times: Float[Array, 'steps_and_one *b'],
) -> Float[Array, '...']:
  """Integrates `x` along the descending `times` with one scan.

  Args:
    kind: of `Sampler`.
    velocity: of `(x, t)`; t is an entry of `times`.
    x: the starting sample.
    times: one grid for all, or one for each of the leading axes of `x`. Where
      a time is repeated, nothing moves.
  """

  def euler(x: Array, interval: tuple[Array, Array]) -> tuple[Array, None]:
    t, following = interval
    return x + expand(following - t, x) * velocity(x, t), None

  def heun(x: Array, interval: tuple[Array, Array]) -> tuple[Array, None]:
    t, following = interval
    length = expand(following - t, x)
    first = velocity(x, t)
    second = velocity(x + length * first, following)
    return x + length * (first + second) / 2, None

  step = {'euler': euler, 'heun': heun}[kind]
  return jax.lax.scan(step, x, (times[:-1], times[1:]))[0]
