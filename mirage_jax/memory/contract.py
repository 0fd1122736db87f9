"""What every memory is: the operations it offers and what a reading holds."""

import dataclasses
from typing import Any, ClassVar, Protocol, runtime_checkable

import flax.linen as nn
import flax.struct
import jax
import numpy as np

from mirage_jax.arrays import Array, Float
from mirage_jax.geometry.cameras import Cameras


@flax.struct.dataclass
class Recalled:
  """Past frames that a memory hands on as they are, for a whole chunk.

  Attributes:
    rgb: `[*b, k, h, w, 3]` in [-1, 1].
    depth_m: `[*b, k, h, w]` z-depth, 0 where unknown.
    cameras: `[*b, k]` of the frames, metres, the world's axes.
    present: `[*b, k]` 1 where there is a frame, 0 for a place left empty.
  """

  rgb: Float[Array, '*b k h w 3']
  depth_m: Float[Array, '*b k h w']
  cameras: Cameras
  present: Float[Array, '*b k']


@flax.struct.dataclass
class Readout:
  """What a memory shows of the asked views, one ray per pixel.

  A memory that renders nothing shows zeros, and may recall frames instead.

  Attributes:
    features: `[*b, h, w, f]`; the first three are rgb in [-1, 1], all are 0
      where nothing is known.
    depth_m: `[*b, h, w]` z-depth, 0 where nothing is known.
    opacity: `[*b, h, w]` in [0, 1]: whether the ray meets known surfaces.
    confidence: `[*b, h, w]` in [0, 1]: the probability that colour is within
      0.1 of [0, 1] and depth within 5 %.
    recalled: frames of the past, None from a memory that keeps none.
    cells: `[*b, y, x, c]` learned features of the cells of each picture, None
      from a memory that learns no reading.
  """

  features: Float[Array, '*b h w f']
  depth_m: Float[Array, '*b h w']
  opacity: Float[Array, '*b h w']
  confidence: Float[Array, '*b h w']
  recalled: Recalled | None = None
  cells: Float[Array, '*b y x c'] | None = None

  @property
  def rgb(self) -> Float[Array, '*b h w 3']:
    """Colour in [-1, 1], meaningful where opacity > 0."""
    return self.features[..., :3]

  def hidden(self, shown: Float[Array, ' b']) -> 'Readout':
    """The readout of b scenes; those with `shown` 0 look like an empty memory.

    Cameras of recalled frames stay, so that they remain cameras.
    """

    def keep(x):
      return x * shown.reshape(-1, *[1] * (x.ndim - 1))

    recalled = self.recalled
    if recalled is not None:
      recalled = dataclasses.replace(
        recalled,
        rgb=keep(recalled.rgb),
        depth_m=keep(recalled.depth_m),
        present=keep(recalled.present),
      )
    return Readout(
      features=keep(self.features),
      depth_m=keep(self.depth_m),
      opacity=keep(self.opacity),
      confidence=keep(self.confidence),
      recalled=recalled,
      cells=None if self.cells is None else keep(self.cells),
    )


@runtime_checkable
class Memory(Protocol):
  """The operations of a memory; a state is of one scene (vmap for more).

  The laws (order-free, merge is addition, forgetting is exact, ...) hold
  between observations, which are already quantised. A memory says in its
  docstring which of them it claims, and its tests prove those.

  Attributes:
    foresees: whether it is to be shown the true frames before they are
      generated; only an oracle is.
    renders: whether it shows colours and depth of any view by itself.
  """

  foresees: ClassVar[bool] = False
  renders: ClassVar[bool] = True

  def layers(self) -> nn.Module | None:
    """What the memory learns, made anew; None if it learns nothing.

    Such a memory's `write` and `read` take it as `layers`.
    """
    return None

  def init(self, frame: Float[Array, '4 4']) -> Any:
    """An empty state of fixed shape whose axes are `frame`."""

  def observe(
    self,
    state: Any,
    cameras: Cameras,
    depth_m: Float[Array, 't h w'],
    features: Float[Array, 't h w f'],
    weight: Float[Array, 't h w'],
    generated: bool = False,
  ) -> Any:
    """What is to be written of these frames; weight 0 keeps a pixel out."""

  def write(self, state: Any, observation: Any) -> Any:
    """The state with the observation added."""

  def read(
    self, state: Any, cameras: Cameras, height: int, width: int
  ) -> Readout:
    """What the state shows of these views."""

  def merge(self, first: Any, second: Any) -> Any:
    """One state of what both have seen."""

  def forget(self, state: Any, observation: Any) -> Any:
    """The state as if the observation had never been written."""

  def advance(self, state: Any) -> Any:
    """Makes what is recent old, so that new evidence can contradict it."""
    return state

  def make_room(self, state: Any, points: int) -> Any:
    """The state, thinned out (or grown) to hold so many points more.

    Like `advance` an operation of its own, between which the laws hold; not
    for use under `jit`.
    """
    del points
    return state

  def num_bytes(self, state: Any) -> int:
    """Bytes that the state occupies."""
    return sum(x.size * x.dtype.itemsize for x in jax.tree.leaves(state))

  def load_factor(self, state: Any) -> Float[Array, ' l']:
    """Share of the rows of every level that hold anything."""


def check_alike(first: Any, second: Any) -> None:
  """Checks that two states can be merged; frames only outside `jit`.

  Raises:
    ValueError: they differ in layout or in their scene's `frame`.
  """
  layouts = [
    [(x.shape, x.dtype) for x in jax.tree.leaves(state)]
    for state in (first, second)
  ]
  if layouts[0] != layouts[1]:
    raise ValueError(
      f'cannot merge memories of layouts {layouts[0]} and {layouts[1]}; '
      'both must be made by one configuration'
    )
  frames = (first.frame, second.frame)
  if any(isinstance(x, jax.core.Tracer) for x in frames):
    return
  one, other = map(np.asarray, frames)
  if not np.array_equal(one, other):
    raise ValueError(
      'cannot merge memories of different scene frames; '
      'init both with the same frame'
    )
