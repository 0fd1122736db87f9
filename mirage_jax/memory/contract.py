"""The contract of a memory: its operations, its laws, and their pytrees.

Observed -> observe -> observation -> write -> state -> read(Views) -> Readout

A memory is a frozen dataclass of settings; its states are pytrees of one scene
each (vmap for more). `laws.check` runs every law that a memory claims.
"""

import abc
import dataclasses
import enum
from collections.abc import Mapping
from typing import Any, ClassVar

import flax.linen as nn
import flax.struct
import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import PartitionSpec

from mirage_jax import sections
from mirage_jax.arrays import Array, Bool, Float
from mirage_jax.memory.views import (
  Observed,
  Readout,
  RetrievedFrames,
  Views,
  check_features,
  check_shapes,
  empty_readout,
)

__all__ = [
  'Law',
  'Layout',
  'Memory',
  'MemoryState',
  'Observed',
  'Readout',
  'RetrievedFrames',
  'Views',
  'check_alike',
  'check_features',
  'check_shapes',
  'empty_readout',
  'learned',
]


class Law(enum.StrEnum):
  """The laws that a memory may claim; see docs/memory.md.

  Attributes:
    CONSTANT: the bytes of a state do not depend on what was written.
    ORDER_FREE: writing A, then B reads as writing B, then A; a constant
      state is the same, too, on any number of devices.
    MERGE: merge(write(0, A), write(0, B)) reads as write(write(0, A), B); a
      constant state is the same, too.
    FORGET: forget(write(M, A), A) = M.
    REGIONS: after `forget_region` nothing of the region is left.
    LOCAL: a write changes a bounded number of rows for each point.
    HONEST: opacity and confidence are 0 where nothing was written.
  """

  CONSTANT = 'constant'
  ORDER_FREE = 'order_free'
  MERGE = 'merge'
  FORGET = 'forget'
  REGIONS = 'regions'
  LOCAL = 'local'
  HONEST = 'honest'


@flax.struct.dataclass
class MemoryState:
  """The fields of every state; memories add their own.

  Attributes:
    frame: `[4, 4]` world_from_scene, the axes of what is kept.
    overflow: True once something was lost: a sum left its range, or a row
      found no place.
  """

  frame: Float[Array, '*b 4 4']
  overflow: Bool[Array, '*b']


@dataclasses.dataclass(frozen=True)
class Layout:
  """The settings of a memory that its model decides.

  Attributes:
    features: of a point, rgb first.
    height: of the frames that are written and read, in points.
    width: likewise.
    context_frames: that the generator is given beside the readout.
    patch: pixels along a side of a token.
    exact: True for integer sums, whose order does not matter; False for
      float32 sums, which can be trained.
  """

  features: int = 3
  height: int = 64
  width: int = 64
  context_frames: int = 4
  patch: int = 8
  exact: bool = False


class Memory(abc.ABC):
  """The operations of a memory.

  A subclass states `claims`; one that claims `MERGE`, `FORGET` or `REGIONS`
  must define that operation, or its class definition is a TypeError. The laws
  hold between observations, which are already quantised.

  Attributes:
    claims: the laws that hold, up to `tolerance`.
    renders: True if it returns colour and depth of any view.
    grows: True if `reserve` enlarges the state, False if it may erase; states
      that grow have a `capacity`.
    needs_future: True if true frames are written before they are generated.
    from_layout: names of its settings that the model's `Layout` decides.
  """

  claims: ClassVar[frozenset[Law]]
  renders: ClassVar[bool] = True
  grows: ClassVar[bool] = False
  needs_future: ClassVar[bool] = False
  from_layout: ClassVar[tuple[str, ...]] = ()

  def __init_subclass__(cls, **kwargs: Any) -> None:
    super().__init_subclass__(**kwargs)
    declared = getattr(cls, 'claims', None)
    if not isinstance(declared, frozenset):
      raise TypeError(f'{cls.__name__} states no claims; give a frozenset')
    for law, name in OPERATIONS.items():
      if law in declared and getattr(cls, name) is getattr(Memory, name):
        raise TypeError(f'{cls.__name__} claims {law} but defines no {name}')

  @classmethod
  def make(cls, settings: Mapping[str, Any], layout: Layout) -> Any:
    """Makes the memory of a config section and its model's layout.

    Raises:
      ValueError: an unknown key, or one that the layout decides.
    """
    for name in cls.from_layout:
      if name in settings:
        raise ValueError(
          f"config key 'memory.{name}' is {settings[name]!r}, but the model "
          'decides it; remove the key'
        )
    decided = {name: getattr(layout, name) for name in cls.from_layout}
    return sections.call(cls, 'memory', {**settings, **decided})

  @property
  def tolerance(self) -> float:
    """Largest relative error of the laws; 0 = bit for bit."""
    return 0.0

  @property
  def features(self) -> int:
    """Features of a point, rgb first."""
    return 3

  @property
  def uses_kernel(self) -> bool:
    """True if table rows are looked up by a kernel."""
    return False

  def layers(self) -> nn.Module | None:
    """Makes the layers that the memory learns; None if it learns nothing.

    `write` and `read` of a memory that learns take them bound, as `layers`.
    """
    return None

  @abc.abstractmethod
  def init(self, frame: Float[Array, '4 4']) -> Any:
    """Makes an empty state whose axes are `frame` (world_from_scene)."""

  @abc.abstractmethod
  def observe(self, state: Any, observed: Observed) -> Any:
    """Quantises frames `[t]` into an observation, ready to be written."""

  @abc.abstractmethod
  def write(self, state: Any, observation: Any) -> Any:
    """Writes an observation into the state."""

  @abc.abstractmethod
  def read(self, state: Any, views: Views) -> Readout:
    """Renders the views `[t]`."""

  def merge(self, first: Any, second: Any) -> Any:
    """Merges two states into the state of both.

    Raises:
      ValueError: other frames or layouts, or a memory that cannot merge.
    """
    raise ValueError(self._declined(Law.MERGE))

  def forget(self, state: Any, observation: Any) -> Any:
    """Takes a written observation out of the state.

    Raises:
      ValueError: a memory that cannot forget.
    """
    raise ValueError(self._declined(Law.FORGET))

  def forget_region(self, state: Any, region: Any) -> tuple[Any, Any]:
    """Erases the content of a `Box` or `Sphere` of the scene's frame.

    Returns:
      The state, and `Erased`: how many rows went, and how many of those held
      content from elsewhere.

    Raises:
      ValueError: an empty region, or a memory that cannot forget regions.
    """
    raise ValueError(self._declined(Law.REGIONS))

  def advance(self, state: Any) -> Any:
    """Makes what is recent old, so that new evidence can contradict it."""
    return state

  def reserve(self, state: Any, points: int) -> Any:
    """Makes room for so many more points: grows or erases, see `grows`.

    An operation of its own, between which the laws hold; not for `jit`.
    """
    del points
    return state

  def partition(self) -> Any:
    """Gives the tree of `PartitionSpec` by which a state is divided."""
    return PartitionSpec()

  def num_bytes(self, state: Any) -> int:
    """Counts the bytes of a state."""
    return sum(x.size * x.dtype.itemsize for x in jax.tree.leaves(state))

  def load_factor(self, state: Any) -> Float[Array, ' l']:
    """Measures the share of rows in use, of every table."""
    del state
    return jnp.zeros(0)

  def _declined(self, law: Law) -> str:
    return (
      f'{type(self).__name__} cannot {OPERATIONS[law]}: it does not claim the '
      f'law {law.value!r}; use a memory that does, such as view_grid'
    )


OPERATIONS = {
  Law.MERGE: 'merge',
  Law.FORGET: 'forget',
  Law.REGIONS: 'forget_region',
}


def learned(layers: nn.Module | None) -> dict[str, nn.Module]:
  """Gives the extra arguments of `write` and `read`: layers, if any."""
  return {} if layers is None else {'layers': layers}


def check_alike(first: MemoryState, second: MemoryState) -> None:
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
