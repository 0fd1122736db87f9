"""`rooms_tiny` gone on in rooms and crowded streets; the teacher of `mirage-s`.

Command: python -m launch.train --config=experiments/rooms_streets_tiny.py
  --workdir=DIR
Cost: half an hour of one core.
Expect: 32 dB on returned pixels in rooms. Without `own_prediction` the memory
  is overruled in places: 29 dB.
"""

import ml_collections

from experiments import rooms_tiny


def get_config() -> ml_collections.ConfigDict:
  """The delta to `rooms_tiny`: streets, and its parameters to begin."""
  config = rooms_tiny.get_config()
  config.source.kind = 'rooms,streets'
  config.model.transformer.remat = 'full'  # what is not kept is not written
  config.objective.own_prediction = 1.0
  config.train.update(base='rooms_tiny', steps=1200, image_every=0, ema=0.995)
  config.optimizer.update(learning_rate=4e-4, schedule='cosine', final=0.05)
  return config
