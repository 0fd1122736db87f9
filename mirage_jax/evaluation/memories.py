"""The memories that suites without a generator compare."""

from collections.abc import Mapping

from mirage_jax.evaluation.entrants import Entrant
from mirage_jax.memory.contract import Memory
from mirage_jax.memory.hash_grid.grid import HashGrid
from mirage_jax.memory.view_grid.grid import ViewGrid

MEMORIES: Mapping[str, Memory] = {
  'hash_grid': HashGrid(
    cell_m=(0.16, 0.06),
    entries=(2**17, 2**18),
  ),
  'view_grid': ViewGrid(),
}


def memories_of(entrants: Mapping[str, Entrant]) -> dict[str, Memory]:
  """Lists `MEMORIES`, and those of checkpoints that render, by name."""
  theirs = {name: x.model.memory for name, x in entrants.items()}
  return dict(MEMORIES) | {
    name: x for name, x in theirs.items() if x is not None and x.renders
  }
