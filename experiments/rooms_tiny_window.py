"""`rooms_tiny` without a memory: the only difference is `memory.kind`.

Command: python -m launch.train --config=experiments/rooms_tiny_window.py
  --workdir=DIR
Cost: less than `rooms_tiny`.
Expect: at least 4 dB less than `rooms_tiny` on returned pixels.
"""

import ml_collections

from experiments import rooms_tiny


def get_config() -> ml_collections.ConfigDict:
  """The delta to `rooms_tiny`."""
  config = rooms_tiny.get_config()
  config.memory.kind = 'none'
  return config
