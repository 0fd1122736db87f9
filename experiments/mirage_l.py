"""`mirage_s` with 700 M parameters at 256x256.

Command: python -m launch.train --config=experiments/mirage_l.py --workdir=DIR
Cost: `python -m launch.compile --config=experiments/mirage_l.py` says it for
  any slice of TPUs.
Expect: unmeasured; needs a pod.
"""

import ml_collections

from experiments import mirage_s


def get_config() -> ml_collections.ConfigDict:
  """The delta to `mirage_s`."""
  config = mirage_s.get_config()
  mirage_s.enlarge(config, size=256, patch=16)
  config.data.update(batch_size=512, history=20, context=8, target=16)
  config.memory.entries = 3 * 6 * 2**13  # 28 frames, if none overlap
  config.model.transformer.update(width=1536, layers=25, heads=12)
  config.model.transformer.update(remat='full', kernel='auto')
  config.mesh.update(data=-1, fsdp=4)
  return config
