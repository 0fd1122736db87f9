"""Programs share names of flags; in one process each test module has its own.

A program is meant to be alone in its process. Here a flag defined again
replaces the one before, and every module of tests defines its program's flags
anew before its first test, so that it finds its own defaults.
"""

import functools
import importlib
import types

import pytest
from absl import flags

PROGRAMS = (
  'launch.evaluate',
  'launch.ingest',
  'launch.prepare',
  'launch.sample',
)

flags.Flag.__init__ = functools.partialmethod(
  flags.Flag.__init__, allow_override=True
)


@pytest.fixture(autouse=True, scope='module')
def own_flags(request):
  """Defines the flags of the program that the module tests once more."""
  for value in list(vars(request.module).values()):
    if isinstance(value, types.ModuleType) and value.__name__ in PROGRAMS:
      importlib.reload(value)
