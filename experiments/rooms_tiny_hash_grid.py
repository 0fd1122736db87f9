"""`rooms_tiny` with a hash grid: the only difference is the memory.

Command: python -m launch.train --config=experiments/rooms_tiny_hash_grid.py
  --workdir=DIR
Cost: more than `rooms_tiny`; `launch.benchmark --rows=memory` says how much.
Expect: softer than `rooms_tiny`; `launch.evaluate --suite=readout` compares
  what the two memories show.
"""

import ml_collections

from experiments import rooms_tiny


def get_config() -> ml_collections.ConfigDict:
  """The delta to `rooms_tiny`."""
  config = rooms_tiny.get_config()
  config.memory = ml_collections.ConfigDict(
    {
      'kind': 'hash_grid',
      'cell_m': (0.64, 0.16, 0.06),
      'entries': (2**13, 2**16, 2**17),
      'evidence_levels': 2,
      'free_entries': (2**13, 2**16),
      'steps': 64,
      'sharp_m': 0.05,
      'weight_half': 1.0,
      'occupied_half': 0.5,
      'free_gain': 0.2,
    }
  )
  config.rollout_memory = ml_collections.ConfigDict()
  return config
