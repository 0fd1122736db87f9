"""Every memory keeps the laws that it claims; a memory that does not, fails."""

import dataclasses

import jax.numpy as jnp
import pytest

from mirage_jax.evaluation.baselines.memories import Still
from mirage_jax.memory import laws
from mirage_jax.memory.baselines.frame_bank import FrameBank
from mirage_jax.memory.baselines.oracle import Oracle
from mirage_jax.memory.baselines.planes import Planes
from mirage_jax.memory.baselines.point_cloud import PointCloud
from mirage_jax.memory.baselines.recurrent import Recurrent
from mirage_jax.memory.contract import Law, Layout, Memory
from mirage_jax.memory.hash_grid.grid import HashGrid
from mirage_jax.memory.kinds import KINDS
from mirage_jax.memory.view_grid.grid import ViewGrid
from tests.memory.last_frame import LINES, MOST_LINES, LastFrame

SIZE = 8, 10
VIEWS = ViewGrid(
  entries=3 * 2**10,
  rounds=10,
  views=2**10,
  bin_rad=0.05,
  visible=2**11,
  most_pixels=1,
)
GRID = HashGrid(
  cell_m=(0.4, 0.1),
  entries=(2**13, 2**14),
  free_entries=(2**14,),
  sharp_m=0.1,
  steps=32,
  far_m=6.0,
)
MEMORIES = {
  'view_grid': VIEWS,
  'exact view_grid': dataclasses.replace(VIEWS, exact=True),
  'hash_grid': GRID,
  'exact hash_grid': dataclasses.replace(GRID, exact=True),
  'contracted hash_grid': dataclasses.replace(
    GRID, exact=True, radius_m=3.0, extent_m=5.0
  ),
  'point_cloud': PointCloud(capacity=2**10),
  'exact point_cloud': PointCloud(capacity=2**10, exact=True),
  'frame_bank': FrameBank(*SIZE, frames=2, context_frames=1, capacity=16),
  'oracle': Oracle(*SIZE, capacity=16),
  'planes': Planes(size=32, cell=2, samples=12, width=16, rendered=4),
  'recurrent': Recurrent(patch=2, heads=2, keys=16, values=4),
  'first frame': Still(*SIZE, last=False),
  'frozen video': Still(*SIZE, last=True),
  'last_frame': LastFrame(*SIZE),
}


@pytest.mark.parametrize('name', MEMORIES)
def test_a_memory_keeps_the_laws_that_it_claims(name):
  laws.check(MEMORIES[name])


def test_every_kind_is_checked():
  checked = {type(memory) for memory in MEMORIES.values()}
  assert set(KINDS.values()) <= checked


@dataclasses.dataclass(frozen=True)
class Boastful(PointCloud):
  """A cloud that claims all laws."""

  claims = PointCloud.claims | {Law.CONSTANT}

  def reserve(self, state, points):
    return state

  def forget(self, state, observation):
    return state

  def merge(self, first, second):
    return first

  def read(self, state, views):
    readout = super().read(state, views)
    return readout.replace(confidence=jnp.ones_like(readout.confidence))


@pytest.mark.parametrize('law', [Law.MERGE, Law.FORGET, Law.HONEST])
def test_a_law_that_does_not_hold_is_found(law):
  trial = laws.Trial(Boastful(capacity=2**10), *SIZE, seed=0)
  with pytest.raises(AssertionError):
    laws.CHECKS[law](trial)


@pytest.mark.parametrize('law', [Law.ORDER_FREE, Law.LOCAL])
def test_the_laws_that_a_recurrent_state_does_not_claim_fail(law):
  large = dataclasses.replace(MEMORIES['recurrent'], keys=laws.LOCAL_ROWS)
  trial = laws.Trial(large, *SIZE, seed=0)
  with pytest.raises(AssertionError, match=law):
    laws.CHECKS[law](trial)


def test_a_forgotten_method_is_an_error_at_construction():
  class Half(Memory):
    claims = frozenset()

    def init(self, frame):
      return frame

  with pytest.raises(TypeError, match='observe'):
    Half()


def test_what_is_claimed_must_be_defined():
  with pytest.raises(TypeError, match='claims merge but defines no merge'):

    class Claims(Memory):
      claims = frozenset({Law.MERGE})

  with pytest.raises(TypeError, match='states no claims'):

    class Silent(Memory):
      pass


def test_what_is_not_claimed_is_one_clear_error():
  memory = LastFrame(*SIZE)
  state = memory.init(jnp.eye(4))
  for refused in (
    lambda: memory.merge(state, state),
    lambda: memory.forget(state, state),
    lambda: memory.forget_region(state, None),
  ):
    with pytest.raises(ValueError, match='LastFrame cannot'):
      refused()


def test_what_the_model_decides_is_no_setting():
  layout = Layout(features=5, height=4, width=6, exact=True)
  memory = PointCloud.make({'capacity': 8}, layout)
  assert memory == PointCloud(features=5, exact=True, capacity=8)
  with pytest.raises(ValueError, match=r"'memory.exact' is False, but the mod"):
    PointCloud.make({'exact': False}, layout)
  with pytest.raises(ValueError, match="unknown config key 'memory.size'"):
    PointCloud.make({'size': 2}, layout)


def test_the_worked_example_is_short():
  assert len(LINES) <= MOST_LINES
