import pytest

from mirage_jax import worlds
from tests.data import tiny_world


def _tiny_worlds():
  """Worlds that cost nothing to render."""
  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(worlds, 'make_clip', tiny_world.make_clip)
    yield


tiny_worlds = pytest.fixture(_tiny_worlds)
tiny_worlds_of_module = pytest.fixture(scope='module')(_tiny_worlds)
