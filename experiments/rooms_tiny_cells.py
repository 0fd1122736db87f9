"""`rooms_tiny` with a point for each 2 x 2 pixels: the only difference is that.

Command: python -m launch.train --config=experiments/rooms_tiny_cells.py
  --workdir=DIR
Cost: five sixths of `rooms_tiny` for the same steps.
Expect: unmeasured.
"""

import ml_collections

from experiments import rooms_tiny


def get_config() -> ml_collections.ConfigDict:
  """The delta to `rooms_tiny`: fewer points, and tables that hold those."""
  config = rooms_tiny.get_config()
  config.model.cell = 2
  for memory in (config.memory, config.rollout_memory):
    memory.update(entries=memory.entries // 4, visible=memory.visible // 4)
  return config
