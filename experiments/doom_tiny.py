"""`rooms_tiny` gone on in a game: walks through levels of Freedoom.

Command: python -m launch.train --config=experiments/doom_tiny.py --workdir=DIR
  (needs the extra `vizdoom`)
Cost: half an hour of one core, four minutes of it for the clips.
Expect: 30 dB on returned pixels of levels that it has not seen, LPIPS of 0.05.
"""

import ml_collections

from experiments import rooms_tiny


def get_config() -> ml_collections.ConfigDict:
  """The delta to `rooms_tiny`: another source, and its parameters to begin."""
  config = rooms_tiny.get_config()
  config.source.update(kind='doom', clips=256)
  config.model.transformer.remat = 'full'  # what is not kept is not written
  config.train.update(base='rooms_tiny', steps=800, image_every=0, ema=0.99)
  config.optimizer.update(learning_rate=4e-4, schedule='cosine', final=0.05)
  return config
