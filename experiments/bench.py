"""The bench: one generator, one base, and only the memory differs.

Command: python -m launch.train --config=experiments/bench.py:none
  --workdir=DIR/base, and then for every memory, with `none` among them,
  python -m launch.train --config=experiments/bench.py:MEMORY
  --config.train.base=DIR/base --config.train.steps=1500 --workdir=DIR/MEMORY
Cost: an hour and a half for the base, half an hour to an hour for a branch, on
  two cores.
Expect: `launch.evaluate --suite=all` compares them.
"""

import ml_collections

from experiments import rooms_tiny, rooms_tiny_hash_grid

MEMORIES = (
  'none',
  'frame',
  'long',
  'frame_bank',
  'point_cloud',
  'planes',
  'recurrent',
  'hash_grid',
  'view_grid',
  'oracle',
)


def get_config(memory: str = 'none') -> ml_collections.ConfigDict:
  """The base with one of `MEMORIES`.

  Raises:
    ValueError: for an unknown memory.
  """
  if memory not in MEMORIES:
    raise ValueError(f'unknown memory {memory!r}; have {", ".join(MEMORIES)}')
  config = rooms_tiny.get_config()
  config.source.kind = 'rooms,streets'
  # Narrower, so that two cores can train them all; and a sixth faster, since
  # what is not kept need not be written.
  config.model.transformer.update(width=128, heads=2, remat='full')
  config.train.update(steps=4000, base='')
  if memory == 'view_grid':
    return config
  config.rollout_memory = ml_collections.ConfigDict()
  if memory == 'hash_grid':
    config.memory = rooms_tiny_hash_grid.get_config().memory
    config.memory.far_m = 30.0
    return config
  config.memory = ml_collections.ConfigDict({'kind': memory})
  if memory in ('none', 'frame', 'long'):
    config.memory.kind = 'none'
    config.model.per_frame = memory == 'frame'
  if memory == 'long':  # a step costs as much as one with a view grid
    config.data.context = 8
  return config
