"""Eight CPU devices, and every annotation of mirage_jax checked.

The checks cover functions, Linen modules and plain dataclasses. Pytree classes
are left out at construction: JAX builds them with placeholders and with batch
axes taken off, so their fields do not always hold what they say.
"""

import pathlib

import flax.struct
import hypothesis
import jax
import jaxtyping
import pytest

from launch.program import keep_freed_memory

keep_freed_memory()
jax.config.update('jax_platforms', 'cpu')
jax.config.update('jax_num_cpu_devices', 8)

# The same examples in every run: a red test is red for everyone.
hypothesis.settings.register_profile('fixed', derandomize=True, deadline=None)
hypothesis.settings.load_profile('fixed')

_pytree_class = flax.struct.dataclass


def _unchecked_pytree_class(cls=None, **kwargs):
  if cls is None:
    return lambda cls: _unchecked_pytree_class(cls, **kwargs)
  cls = _pytree_class(cls, **kwargs)
  cls.__no_type_check__ = True
  return cls


flax.struct.dataclass = _unchecked_pytree_class
jaxtyping.install_import_hook('mirage_jax', 'beartype.beartype')


# Tests of one of these use the same compiled functions.
_SHARING = ('models', 'training', 'world_test.py', 'worlds')


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
  """Gives tests that share compiled functions to one process."""
  for item in items:
    place = item.path.relative_to(pathlib.Path(__file__).parent).parts[0]
    if place in _SHARING:
      item.add_marker(pytest.mark.xdist_group(place))


def pytest_addoption(parser):
  """Adds the number of kills of the test that kills a run."""
  parser.addoption(
    '--kills',
    type=int,
    default=3,
    help='kills of a training run; what is reported comes from 20: '
    'pytest -m slow --kills=20 tests/launch/train_test.py -k killed',
  )
