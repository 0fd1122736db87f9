"""Suites: evaluation protocols, one module each.

Every module here that ends in a value `SUITE` is a suite of `launch.evaluate`;
modules without one help a suite.

  closed_loop         returned pixels after leaving and returning
  memory_gain         likeness of revisits against pairs that are none
  object_consistency  appearance of objects after a return
  object_position     place of objects after a return
  calibration         confidence against the share of right pixels
  exploration         places that no frame has seen
  own_return          returns to places that the model generated
  robustness          the closed loop with noisy inputs
  readout             held-out frames, read from memories
  readout_views       scores and pictures of such readouts
  retention           loss of the first chunk by later writes
  changed             objects that moved or vanished unseen
  cost                bytes and times as the video grows
"""

import importlib
import pkgutil
from collections.abc import Mapping

from mirage_jax.evaluation.suite import Suite


def find_suites() -> dict[str, Suite]:
  """Imports the modules of this package and collects their `SUITE` by name."""
  modules = [
    importlib.import_module(f'{__name__}.{module.name}')
    for module in pkgutil.iter_modules(__path__)
  ]
  suites = [
    vars(module)['SUITE'] for module in modules if hasattr(module, 'SUITE')
  ]
  order = sorted(suites, key=lambda suite: (suite.run is not None, suite.name))
  return {suite.name: suite for suite in order}


SUITES: Mapping[str, Suite] = find_suites()
