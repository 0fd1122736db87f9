"""`mirage_s` with a memory of a city: hash tables of 2**24 rows a level.

Command: python -m launch.train --config=experiments/mirage_city.py
  --workdir=DIR
Cost: `python -m launch.compile --config=experiments/mirage_city.py
  --programs=write,read` says it for any slice of TPUs.
Expect: unmeasured; needs accelerators. The tables of a rollout are larger than
  those of training, and lie on four devices each.
"""

import ml_collections

from experiments import bench, mirage_s


def get_config() -> ml_collections.ConfigDict:
  """The delta to `mirage_s`: a hash grid, and its tables in parts."""
  config = mirage_s.get_config()
  config.memory = bench.get_config('hash_grid').memory
  config.memory.sharded = True
  config.rollout_memory = ml_collections.ConfigDict(
    {'entries': (2**24,) * 3, 'free_entries': (2**24,) * 2}
  )
  config.mesh.model = 4
  return config
