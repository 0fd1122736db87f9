"""`rooms_streets_tiny` in two steps a chunk, distilled; ships as `mirage-s`.

Command: python -m launch.train --config=experiments/rooms_streets_fast.py
  --workdir=DIR
Cost: 10 minutes of one core.
Expect: returned frames like the teacher's, and new places within 6 % of its
  LPIPS.
"""

import ml_collections

from experiments import rooms_tiny_fast


def get_config() -> ml_collections.ConfigDict:
  """The delta to `rooms_tiny_fast`: another teacher, and its sources."""
  config = rooms_tiny_fast.get_config()
  config.source.kind = 'rooms,streets'
  config.distillation.teacher = 'mirage-s-teacher'
  return config
