"""`mirage_s` with 150 M parameters at 128x128.

Command: python -m launch.train --config=experiments/mirage_b.py --workdir=DIR
Cost: `python -m launch.compile --config=experiments/mirage_b.py` says it for
  any slice of TPUs.
Expect: unmeasured; needs a pod.
"""

import ml_collections

from experiments import mirage_s


def get_config() -> ml_collections.ConfigDict:
  """The delta to `mirage_s`."""
  config = mirage_s.get_config()
  mirage_s.enlarge(config, size=128, patch=8)
  config.data.update(batch_size=512, history=20, context=4, target=12)
  config.model.transformer.update(width=1024, layers=12, heads=8)
  config.model.transformer.update(remat='full', kernel='auto')
  config.mesh.update(data=-1, fsdp=4)
  return config
