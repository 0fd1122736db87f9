"""The laws of memories as one property test: `laws.check(memory)`."""

import itertools
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from mirage_jax.geometry import cameras as pinhole
from mirage_jax.geometry.cameras import Cameras
from mirage_jax.memory.contract import (
  Law,
  Memory,
  MemoryState,
  Observed,
  Views,
  learned,
)
from mirage_jax.memory.regions import Sphere

NOTHING = 1e-6  # opacity, confidence, ... of what is unknown
LOCAL_ROWS = 64  # most rows that a point may change in one table
REGION_M = 0.6  # radius of an erased region
DEVICES = (2, 8)  # as far as there are so many


def check(
  memory: Memory, height: int = 8, width: int = 10, seed: int = 0
) -> None:
  """Checks every law that a memory claims.

  Args:
    memory: of any size; small ones are checked in seconds.
    height: of the frames that are written and read.
    width: likewise.
    seed: of the frames.

  Raises:
    AssertionError: a law that does not hold; it names the law.
  """
  trial = Trial(memory, height, width, seed)
  assert isinstance(trial.empty, MemoryState), 'init gives no MemoryState'
  for law in sorted(memory.claims):
    CHECKS[law](trial)


def make_observed(
  seed: int = 0,
  frames: int = 3,
  height: int = 8,
  width: int = 10,
  features: int = 3,
  generated: bool = False,
) -> Observed:
  """Makes frames of smooth walls by cameras that wander and turn."""
  rng = np.random.default_rng(seed)
  turn = rng.uniform(-3, 3, frames)
  pose = np.tile(np.eye(4, dtype=np.float32), (frames, 1, 1))
  pose[:, 0, 0] = pose[:, 2, 2] = np.cos(turn)
  pose[:, 0, 2], pose[:, 2, 0] = np.sin(turn), -np.sin(turn)
  pose[:, :3, 3] = rng.uniform(-2, 2, (frames, 3))
  lens = np.tile(np.array([1, 1.25, 0.5, 0.5], np.float32), (frames, 1))
  slope = np.linspace(0, 1, width)
  depth_m = rng.uniform(1, 3, (frames, 1, 1)) + slope + np.zeros((height, 1))
  shape = (frames, height, width)
  colours = rng.uniform(-1, 1, (frames, 1, 1, features))
  return Observed.still(
    Cameras(jnp.asarray(lens), jnp.asarray(pose)),
    depth_m.astype(np.float32),
    (colours + np.zeros((*shape, features))).astype(np.float32),
    np.ones(shape, np.float32),
    generated,
  )


class _Bound(nn.Module):
  """A memory with the layers that it learns."""

  memory: Memory

  def setup(self) -> None:
    """Makes the layers."""
    self.layers = self.memory.layers()

  def write(self, state, observation):
    """Writes with the layers."""
    return self.memory.write(state, observation, **learned(self.layers))

  def read(self, state, views: Views):
    """Reads with the layers."""
    return self.memory.read(state, views, **learned(self.layers))

  def __call__(self, state, observation, views: Views):
    return self.read(self.write(state, observation), views)


class Trial:
  """A memory, compiled, and frames to write into it.

  Attributes:
    memory: that is tried.
    empty: its empty state.
    observed: three sets of frames; the last is generated.
    observations: of these.
    views: of the first set's cameras.
  """

  def __init__(self, memory: Memory, height: int, width: int, seed: int):
    self.memory = memory
    self.empty = memory.init(jnp.eye(4))
    self.observe = jax.jit(memory.observe)
    self.observed = [
      make_observed(
        3 * seed + i, 3, height, width, memory.features, generated=i == 2
      )
      for i in range(3)
    ]
    self.observations = [self.observe(self.empty, x) for x in self.observed]
    self.views = Views.still(self.observed[0].cameras, height, width)
    module = _Bound(memory)
    params = {}
    if memory.layers() is not None:
      given = self.empty, self.observations[0], self.views
      params = jax.jit(module.init)(jax.random.key(seed), *given)
    bind = lambda method: jax.jit(
      lambda *xs: module.apply(params, *xs, method=method)
    )
    self.write, self.read = bind('write'), bind('read')
    self.forget = jax.jit(memory.forget)

  def written(self, *which: int) -> Any:
    """Writes the observations of these numbers."""
    state = self.empty
    for i in which:
      state = self.write(state, self.observations[i])
    return state

  def same(self, first: Any, second: Any, law: Law) -> None:
    """Asserts that two trees are equal up to the memory's tolerance."""
    pairs = zip(jax.tree.leaves(first), jax.tree.leaves(second), strict=True)
    for one, other in pairs:
      one, other = np.asarray(one), np.asarray(other)
      assert one.shape == other.shape, f'{self.memory} breaks {law}: shapes'
      if np.array_equal(one, other):
        continue
      one, other = one.astype(np.float64), other.astype(np.float64)
      apart = np.abs(one - other).max()
      most = self.memory.tolerance * max(1, np.abs(other).max())
      assert apart <= most, f'{self.memory} breaks {law}: apart by {apart}'

  def alike(self, first: Any, second: Any, law: Law) -> None:
    """Asserts that states read alike, and are the same if constant."""
    if Law.CONSTANT in self.memory.claims:
      self.same(first, second, law)
    self.same(self.read(first, self.views), self.read(second, self.views), law)


def _constant(trial: Trial) -> None:
  """Checks that a state's arrays stay as large as they are."""
  shapes = lambda state: [(x.shape, x.dtype) for x in jax.tree.leaves(state)]
  full = trial.written(0, 1, 2)
  assert shapes(trial.empty) == shapes(full), f'{trial.memory} is not constant'


def _order_free(trial: Trial) -> None:
  """Checks every order of three writes, and writes on several devices."""
  written = trial.written(0, 1, 2)
  for order in itertools.permutations(range(3)):
    trial.alike(trial.written(*order), written, Law.ORDER_FREE)
  if Law.CONSTANT not in trial.memory.claims:
    return
  for count in DEVICES:
    if count <= jax.device_count():
      spread = _written_on(trial, count)
      trial.same(spread, trial.written(0), Law.ORDER_FREE)


def _written_on(trial: Trial, count: int) -> Any:
  """Writes an observation whose points are divided over devices."""
  devices = jax.devices()[:count]
  mesh = jax.make_mesh((count,), ('p',), (AxisType.Auto,), devices=devices)
  whole = NamedSharding(mesh, PartitionSpec())
  divided = NamedSharding(mesh, PartitionSpec('p'))
  place = lambda x: jax.device_put(x, whole if len(x) % count else divided)
  observation = jax.tree.map(place, trial.observations[0])
  state = jax.device_put(trial.empty, whole)
  return jax.device_get(trial.write(state, observation))


def _merge(trial: Trial) -> None:
  """Checks that merging is writing both, and refuses other frames."""
  merged = trial.memory.merge(trial.written(0), trial.written(1))
  trial.alike(merged, trial.written(0, 1), Law.MERGE)
  other = trial.memory.init(jnp.eye(4).at[0, 3].set(1.0))
  try:
    trial.memory.merge(trial.written(0), other)
  except ValueError as error:
    assert 'different scene frames' in str(error), error
  else:
    raise AssertionError(f'{trial.memory} merges states of different frames')


def _forget(trial: Trial) -> None:
  """Checks that what was forgotten was never written."""
  for before in ((), (0,), (1,), (0, 2)):
    state = trial.written(*before)
    after = trial.write(state, trial.observations[1])
    found = trial.forget(after, trial.observations[1])
    trial.same(found, state, Law.FORGET)


def _regions(trial: Trial) -> None:
  """Checks that no surface is read inside an erased region."""
  cameras = trial.views.cameras
  state = trial.written(0)
  readout = trial.read(state, trial.views)
  seen = np.asarray(readout.opacity) > 0.5
  points = np.asarray(pinhole.unproject(cameras, readout.depth_m))
  centre = points[seen][0]
  x, y, z = (float(c) for c in centre)
  region = Sphere((x, y, z), REGION_M)
  after, erased = trial.memory.forget_region(state, region)
  assert erased.rows > 0 and erased.elsewhere <= erased.rows
  readout = trial.read(after, trial.views)
  seen = np.asarray(readout.opacity) > 0.5
  left = np.asarray(pinhole.unproject(cameras, readout.depth_m))[seen]
  # Drawn surfels blend, so a pixel at the rim may lie a little inside.
  inside = np.linalg.norm(left - centre, axis=-1) < REGION_M / 2
  assert not inside.any(), f'{trial.memory} breaks {Law.REGIONS}'


def _local(trial: Trial) -> None:
  """Checks that one point changes a bounded number of rows."""
  one = jax.tree.map(lambda x: x[:1], trial.observed[0])
  weight = np.zeros(one.weight.shape, np.float32)
  weight[0, weight.shape[1] // 2, weight.shape[2] // 2] = 1
  observation = trial.observe(trial.empty, one.replace(weight=weight))
  after = trial.write(trial.empty, observation)
  pairs = zip(jax.tree.leaves(trial.empty), jax.tree.leaves(after), strict=True)
  for old, new in pairs:
    changed = np.asarray(old != new)
    rows = changed.any(-1).sum() if changed.ndim > 1 else changed.sum()
    assert rows <= LOCAL_ROWS, f'{trial.memory} breaks {Law.LOCAL}: {rows} rows'


def _honest(trial: Trial) -> None:
  """Checks that nothing is read where nothing was written."""
  readout = trial.read(trial.empty, trial.views)
  if readout.retrieved is not None:
    assert not np.any(readout.retrieved.present), f'{trial.memory}: frames'
    readout = readout.replace(retrieved=None)
  for image in jax.tree.leaves(readout):
    most = np.abs(image).max()
    assert most <= NOTHING, f'{trial.memory} breaks {Law.HONEST}: {most}'
  one = jax.tree.map(lambda x: x[:1], trial.observed[0])
  observation = trial.observe(trial.empty, one)
  state = trial.write(trial.empty, observation)
  turned = jnp.asarray([-1.0, 1, -1, 1])  # half a turn about y
  behind = one.cameras.replace(
    world_from_camera=one.cameras.world_from_camera * turned
  )
  views = Views.still(behind, trial.views.height, trial.views.width)
  readout = trial.read(state, views)
  for image in (readout.opacity, readout.confidence):
    most = np.abs(image).max()
    assert most <= NOTHING, f'{trial.memory} breaks {Law.HONEST}: {most}'


CHECKS = {
  Law.CONSTANT: _constant,
  Law.ORDER_FREE: _order_free,
  Law.MERGE: _merge,
  Law.FORGET: _forget,
  Law.REGIONS: _regions,
  Law.LOCAL: _local,
  Law.HONEST: _honest,
}
