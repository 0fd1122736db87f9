"""The smallest Mirage, 12 M parameters at 64x64: rooms and streets.

Command: python -m launch.train --config=experiments/mirage_s.py --workdir=DIR
Cost: `python -m launch.compile --config=experiments/mirage_s.py` says it for
  any slice of TPUs.
Expect: unmeasured; needs an accelerator.
"""

import ml_collections

from experiments import rooms_tiny


def get_config() -> ml_collections.ConfigDict:
  """The delta to `rooms_tiny`: a larger model, more data, bfloat16."""
  config = rooms_tiny.get_config()
  config.source.update(kind='rooms,streets', frames=64, clips=2**16)
  config.data.update(batch_size=64, history=20, context=4, target=8)
  config.memory.entries = 3 * 5 * 2**13  # 24 frames, if none overlap
  config.model.transformer.update(
    width=384, layers=6, heads=6, dtype='bfloat16', remat='none', kernel='plain'
  )
  config.train.update(
    steps=200_000, log_every=100, image_every=5000, checkpoint_every=1000
  )
  config.train.update(keep_every=20_000, ema=0.9999, precision='bfloat16')
  config.optimizer.update(learning_rate=3e-4, warmup=2000, schedule='cosine')
  config.optimizer.final = 0.1
  return config


def enlarge(config: ml_collections.ConfigDict, size: int, patch: int) -> None:
  """Pictures of `size` pixels a side; as many points are written as at 64."""
  config.source.update(height=size, width=size)
  config.model.update(patch=patch, pixel_group=patch // 4)
