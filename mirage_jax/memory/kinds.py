"""The memories by name, as `memory.kind` of a config gives them."""

from mirage_jax.memory.baselines.frame_bank import FrameBank
from mirage_jax.memory.baselines.oracle import Oracle
from mirage_jax.memory.baselines.planes import Planes
from mirage_jax.memory.baselines.point_cloud import PointCloud
from mirage_jax.memory.baselines.recurrent import Recurrent
from mirage_jax.memory.contract import Memory
from mirage_jax.memory.hash_grid.grid import HashGrid
from mirage_jax.memory.view_grid.grid import ViewGrid

KINDS: dict[str, type[Memory]] = {
  'hash_grid': HashGrid,
  'view_grid': ViewGrid,
  'point_cloud': PointCloud,
  'frame_bank': FrameBank,
  'planes': Planes,
  'recurrent': Recurrent,
  'oracle': Oracle,
}
