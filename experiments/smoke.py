"""The whole of training in seconds: tiny frames, a tiny model, few steps.

Command: python -m launch.train --config=experiments/smoke.py --workdir=DIR
Cost: a minute or two on two cores, nearly all of it compiling.
Expect: it ends; the loss is near the first step's.
"""

import ml_collections

from experiments import rooms_tiny


def get_config() -> ml_collections.ConfigDict:
  """The delta to `rooms_tiny`: everything smaller."""
  config = rooms_tiny.get_config()
  config.source.update(frames=12, height=32, width=32, clips=4)
  config.source.rays_per_pixel = 1
  config.data.update(batch_size=2, history=4, context=2, target=2)
  config.memory.update(entries=3 * 2**11, views=2**8, visible=2**11)
  config.rollout_memory.update(entries=3 * 2**12)
  config.model.transformer.update(width=64, layers=2, heads=2)
  config.optimizer.update(warmup=2)
  config.train.update(
    steps=8, log_every=2, image_every=4, checkpoint_every=2, keep=2
  )
  config.sampler.steps = 2
  return config
