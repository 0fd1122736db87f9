"""`rooms_tiny` without a memory: the only difference is `memory.kind`.

Command: python -m launch.train --config=experiments/rooms_tiny_window.py
  --workdir=DIR
Cost: two thirds of `rooms_tiny` for the same steps; for the same time, add
  --config.train.steps=3400.
Expect: 15 dB on returned pixels, after either.
"""

import ml_collections

from experiments import rooms_tiny


def get_config() -> ml_collections.ConfigDict:
  """The delta to `rooms_tiny`."""
  config = rooms_tiny.get_config()
  config.memory.kind = 'none'
  return config
