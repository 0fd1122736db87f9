"""`rooms_tiny` gone on in a game: walks through levels of Freedoom.

Command: python -m launch.train --config=experiments/doom_tiny.py --workdir=DIR
  (needs the extra `vizdoom`)
Cost: 20 minutes on two cores.
Expect: unmeasured.
"""

import ml_collections

from experiments import rooms_tiny


def get_config() -> ml_collections.ConfigDict:
  """The delta to `rooms_tiny`: another source, and its parameters to begin."""
  config = rooms_tiny.get_config()
  config.source.kind = 'doom'
  config.train.update(base='rooms_tiny', steps=1000)
  return config
