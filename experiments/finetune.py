"""`mirage-s` goes on with your own recording, mixed with rooms.

Command: python -m launch.train --config=experiments/finetune.py
  --config.source.kind=rooms,FOLDER --workdir=DIR
Cost: 7 minutes of one core.
Expect: new places that come nearer to the recording in colour, and get
  smoother; returned pixels that lose half a dB.
"""

import ml_collections

from experiments import rooms_streets_tiny


def get_config() -> ml_collections.ConfigDict:
  """The delta to `rooms_streets_tiny`: a student to begin, and small steps."""
  config = rooms_streets_tiny.get_config()
  config.source.kind = 'rooms'
  config.train.update(base='mirage-s', steps=240, ema=0.98)
  config.optimizer.learning_rate = 1e-4
  config.sampler.steps = 2
  return config
