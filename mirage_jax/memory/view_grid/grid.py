"""A view grid: a hashed table of surfels that know where they were seen from.

Surfaces look alike from near views and not from far ones: poses drift, cameras
expose differently, things shine. So the bins of a view grid belong to the cell
of camera positions and headings that saw them, and a reading asks the nearest
such cells first. It is written by one scatter-add, of fixed size, and claims
all the laws of a memory; `view_peeling` says how entries are told apart.
"""

import dataclasses
from typing import ClassVar

import jax.numpy as jnp

from mirage_jax.arrays import Array, Float
from mirage_jax.memory.contract import (
  Law,
  Memory,
  Observed,
  Readout,
  Views,
  check_features,
)
from mirage_jax.memory.regions import Erased, Region
from mirage_jax.memory.tables import sums
from mirage_jax.memory.view_grid import erasure, keys, splatting
from mirage_jax.memory.view_grid import table as tables
from mirage_jax.memory.view_grid.keys import ViewObservation
from mirage_jax.memory.view_grid.table import ViewGridState


@dataclasses.dataclass(frozen=True)
class ViewGrid(Memory):
  """The configuration of a view grid; its states are of one scene each.

  Attributes:
    entries: rows of the table, a multiple of `choices`.
    choices: rows that each entry is added to.
    rounds: rounds of peeling; each frees entries that shared all their rows.
    views: slots for view cells.
    cell_m: edge of a view cell, metres.
    headings: sectors of viewing directions of a view cell.
    bin_rad: angle of a bin, seen from its view cell's centre.
    log_depth: range of a bin's distance, as a natural logarithm.
    features: features of a point, rgb first.
    exact: integer sums (order-free, bit for bit) instead of float32 ones.
    unit_m: positions are kept in multiples of this.
    near_m: nearest depth that is read.
    radius_m: positions are kept as they are up to this distance from their
      view cell's centre, and contracted beyond.
    visible: surfels that one view may draw; the nearest view cells' first.
    most_pixels: largest radius of a drawn surfel.
    spread: radius of a surfel in halves of its bin's width.
    same_surface: relative depth within which surfels are blended.
    view_reach: e-folding distance of views (metres plus radians).
    generated_distance: how much farther generated views count.
    older_distance: how much farther entries count that were not written since
      the last `advance`.
    lookup: what looks rows up, `plain` or `vmem`; see `rows`.
    confidence: logistic of 1, the view's distance, evidence, and the share
      that a model made up; fitted to a real recording, hence too low where
      poses and depth are exact.
  """

  entries: int = 3 * 2**17
  choices: int = 3
  rounds: int = 16
  views: int = 4096
  cell_m: float = 0.5
  headings: int = 8
  bin_rad: float = 0.0183
  log_depth: float = 0.25
  features: int = 3
  exact: bool = False
  unit_m: float = 2**-8
  near_m: float = 0.1
  radius_m: float = 16.0
  visible: int = 2**16
  most_pixels: int = 3
  spread: float = 1.8
  same_surface: float = 0.06
  view_reach: float = 0.15
  generated_distance: float = 1.0
  older_distance: float = 1.0
  lookup: str = 'plain'
  confidence: tuple[float, float, float, float] = (-4.23, -0.39, 5.33, -1.0)
  claims: ClassVar[frozenset[Law]] = frozenset(Law)
  from_layout: ClassVar[tuple[str, ...]] = ('features', 'exact')

  def __post_init__(self):
    if self.entries < 1 or self.entries % self.choices:
      raise ValueError(
        f'entries is {self.entries}; expected a multiple of '
        f'choices, {self.choices}'
      )
    check_features(self.features)

  @property
  def tolerance(self) -> float:
    """Float sums are rounded."""
    return 0.0 if self.exact else 1e-4

  @property
  def uses_kernel(self) -> bool:
    """True if `lookup` is a kernel's."""
    return self.lookup != 'plain'

  def init(self, frame: Float[Array, '4 4']) -> ViewGridState:
    """An empty memory; `frame` (world_from_scene) gives its axes."""
    return tables.init(self, frame)

  def observe(
    self, state: ViewGridState, observed: Observed
  ) -> ViewObservation:
    """Quantises posed depth images into points of their view cells' bins."""
    return keys.observe(self, state, observed)

  def write(
    self, state: ViewGridState, observation: ViewObservation
  ) -> ViewGridState:
    """Adds an observation: `choices` rows for each of its points."""
    return tables.write(self, state, observation, 1)

  def read(self, state: ViewGridState, views: Views) -> Readout:
    """Renders the views `[t]` by splatting."""
    return splatting.read(self, state, views)

  def merge(self, first: ViewGridState, second: ViewGridState) -> ViewGridState:
    """Adds two states; refuses other frames or layouts (ValueError)."""
    return sums.merge(first, second, ('entries', 'views'))

  def forget(
    self, state: ViewGridState, observation: ViewObservation
  ) -> ViewGridState:
    """Takes a written observation out again; bit for bit if `exact`."""
    return tables.write(self, state, observation, -1)

  def forget_region(
    self, state: ViewGridState, region: Region
  ) -> tuple[ViewGridState, Erased]:
    """Erases all that a `Box` or `Sphere` of the scene's frame holds.

    Returns the state, and how many rows that held content from elsewhere, or
    content that could not be told apart, went too.
    """
    return erasure.forget_region(self, state, region)

  def reserve(self, state: ViewGridState, points: int) -> ViewGridState:
    """Erases whole view cells if `points` more might not be told apart."""
    return erasure.reserve(self, state, points)

  def advance(self, state: ViewGridState) -> ViewGridState:
    """Makes recent entries older; what is written after hides them."""
    return tables.advance(state)

  def load_factor(self, state: ViewGridState) -> Float[Array, 'l']:
    """Entries a row, and the share of view slots in use."""
    load = tables.num_entries(self, state) / self.entries
    used = (sums.as_float(state.views)[:, 0] > 0).mean()
    return jnp.stack([load, used])
