"""A hash-grid radiance memory: written by one scatter-add, read by rays.

Instant-NGP's multiresolution hash tables (arXiv 2201.05989), not fitted but
written: an entry is a surfel, the sums of the evidence, features and positions
of the points that fell into its cell. Bytes and cost are constant. With `exact`
sums it claims all the laws of a memory; with float32 ones, which are trained,
the same up to rounding.
"""

import dataclasses
from typing import Any, ClassVar

import jax.numpy as jnp

from mirage_jax.arrays import Array, Float
from mirage_jax.memory.contract import (
  Law,
  Memory,
  Observed,
  Readout,
  Views,
)
from mirage_jax.memory.hash_grid import (
  erasure,
  lattice,
  readout,
  scatter,
  table,
)
from mirage_jax.memory.hash_grid import observation as observing
from mirage_jax.memory.hash_grid.observation import Observation
from mirage_jax.memory.hash_grid.table import HashGridState
from mirage_jax.memory.regions import Erased, Region
from mirage_jax.memory.tables import sums


@dataclasses.dataclass(frozen=True)
class HashGrid(Memory):
  """The configuration of a hash grid; its states are of one scene each.

  Attributes:
    cell_m: edge of a cell of each level, metres, coarse to fine.
    entries: table rows of each level, powers of two.
    free_entries: rows of free-space evidence of each evidence level; by
      default twice those of its surfaces.
    features: features of a point, rgb first.
    exact: integer sums (order-free, bit for bit) instead of float32 ones.
    sharded: the rows lie on all devices along the mesh's `model` axis, for a
      memory that is larger than one of them.
    evidence_levels: how many coarse levels keep free-space evidence.
    extent_m: width of the scene if known: levels that fit become dense.
    radius_m: contracts the coarsest level beyond it; 0 = a bounded scene.
    sharp_m: pixel footprint up to which a point has full weight; beyond, the
      weight falls with its square.
    finest_footprint: a point is written to levels whose cells are at least
      its footprint divided by this.
    free_stride: every how many pixels (each way) a ray gives free evidence.
    free_samples: points along such a ray.
    free_margin: cells in front of the surface that are not called free.
    free_gain: how much free evidence counts against occupied evidence.
    near_m, far_m: what a reading's rays cover, z-depth.
    steps: steps of the first pass along a ray.
    march_power: steps are spaced as depth ** (1 / march_power).
    samples: surfaces that the second pass looks at along a ray.
    refinements: lookups of coarser levels that centre the second pass.
    fallbacks: coarser levels asked where the chosen level is empty.
    kernel: Gaussian radius of a surfel, in cells.
    march_kernel: the same in the first pass.
    march_gap: hits of the first pass that are farther apart than this, in
      cells, are different surfaces.
    surfel_gain: opacity of the sum of the surfels' weights.
    weight_half: evidence that makes a surfel half sure.
    occupied_half: evidence that makes an unseen cell half occupied.
    gate_full: probability of being occupied that lets a surface be opaque.
    older_cap: most that older evidence is worth.
    veto_gain: how much recent free evidence takes from the older surfaces.
    footprint_bias: the chosen level's cells are at least this many pixels.
    generated_weight: weight of generated evidence where nothing was known.
    confidence: coefficients of the logistic that gives confidence.
  """

  cell_m: tuple[float, ...]
  entries: tuple[int, ...]
  free_entries: tuple[int, ...] = ()
  features: int = 3
  exact: bool = False
  sharded: bool = False
  evidence_levels: int = 1
  extent_m: float = 0.0
  radius_m: float = 0.0
  sharp_m: float = 0.01
  finest_footprint: float = 3.0
  free_stride: int = 2
  free_samples: int = 16
  free_margin: float = 1.0
  free_gain: float = 1.0
  near_m: float = 0.2
  far_m: float = 10.0
  steps: int = 48
  march_power: float = 1.0
  samples: int = 2
  refinements: int = 1
  fallbacks: int = 1
  kernel: float = 0.4
  march_kernel: float = 0.5
  march_gap: float = 1.5
  surfel_gain: float = 2.0
  weight_half: float = 4.0
  occupied_half: float = 2.0
  gate_full: float = 0.7
  older_cap: float = 64.0
  veto_gain: float = 4.0
  footprint_bias: float = 0.7
  generated_weight: float = 0.5
  confidence: tuple[float, ...] = (-2.0, 4.0, 0.5, -4.0, -1.0)
  claims: ClassVar[frozenset[Law]] = frozenset(Law)
  from_layout: ClassVar[tuple[str, ...]] = ('features', 'exact')

  def __post_init__(self):
    table.check_config(self)

  @property
  def tolerance(self) -> float:
    """Float sums are rounded."""
    return 0.0 if self.exact else 1e-4

  @property
  def levels(self) -> tuple[lattice.Level, ...]:
    """The lattices, coarse to fine."""
    return lattice.make_levels(
      tuple(self.cell_m), tuple(self.entries), self.extent_m, self.radius_m
    )

  @property
  def free_levels(self) -> tuple[lattice.Level, ...]:
    """The lattices of free space: cells of the evidence levels, own rows."""
    levels = lattice.make_levels(
      tuple(self.cell_m[: self.evidence_levels]),
      table.free_rows(self),
      self.extent_m,
      self.radius_m,
    )
    units = [level.units for level in self.levels]
    return tuple(
      dataclasses.replace(level, units=n)
      for level, n in zip(levels, units, strict=False)
    )

  def init(self, frame: Float[Array, '4 4']) -> HashGridState:
    """An empty memory; `frame` (world_from_scene) gives its axes."""
    return table.init(self, frame)

  def observe(self, state: HashGridState, observed: Observed) -> Observation:
    """Quantises posed depth images into points, free space and weights.

    Gradients flow through `features` only. Pixels of weight 0 or without
    depth are not written.
    """
    return observing.observe(self, state, observed)

  def write(
    self, state: HashGridState, observation: Observation
  ) -> HashGridState:
    """Adds an observation: one row a level for each of its points."""
    return scatter.write(self, state, observation, 1)

  def read(self, state: HashGridState, views: Views) -> Readout:
    """Renders the views by rays; times do not matter."""
    return readout.read(self, state, views)

  def merge(self, first: HashGridState, second: HashGridState) -> HashGridState:
    """Adds two states; refuses other frames or layouts (ValueError)."""
    return sums.merge(first, second, tuple(table.BITS))

  def forget(
    self, state: HashGridState, observation: Observation
  ) -> HashGridState:
    """Takes a written observation out again; bit for bit if `exact`."""
    return scatter.write(self, state, observation, -1)

  def forget_region(
    self, state: HashGridState, region: Region
  ) -> tuple[HashGridState, Erased]:
    """Erases all that a `Box` or `Sphere` of the scene's frame holds.

    Returns the state, and how many colliding rows from elsewhere went too.
    """
    return erasure.forget_region(self, state, region)

  def advance(self, state: HashGridState) -> HashGridState:
    """Makes recent evidence old; later free evidence may then veto it."""
    return table.advance(self, state)

  def partition(self) -> Any:
    """Gives the tree of `PartitionSpec` by which a state is divided."""
    return table.specs() if self.sharded else super().partition()

  def load_factor(self, state: HashGridState) -> Float[Array, 'l']:
    """Share of the rows of every level that hold anything."""
    weight = table.total_weight(self, state)
    return jnp.stack(
      [(weight[v.first : v.first + v.entries] > 0).mean() for v in self.levels]
    )
