"""`mirage_s` with 3 B parameters at 512x512, 33 frames at once.

Command: python -m launch.train --config=experiments/mirage_xl.py --workdir=DIR
Cost: `python -m launch.compile --config=experiments/mirage_xl.py` says it for
  any slice of TPUs.
Expect: unmeasured; needs a pod.
"""

import ml_collections

from experiments import mirage_s


def get_config() -> ml_collections.ConfigDict:
  """The delta to `mirage_s`."""
  config = mirage_s.get_config()
  mirage_s.enlarge(config, size=512, patch=32)
  config.data.update(batch_size=512, history=20, context=8, target=33)
  config.memory.entries = 3 * 6 * 2**13  # 28 frames, if none overlap
  config.model.transformer.update(width=2816, layers=32, heads=22)
  config.model.transformer.update(remat='full', kernel='auto')
  config.mesh.update(data=-1, fsdp=4)
  return config
