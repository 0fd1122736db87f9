"""The Python of README and docs runs as it stands."""

import pathlib
import re

import jax
import numpy as np
import pytest

from mirage_jax import build, sharding, world
from mirage_jax.build import make_run
from mirage_jax.capture import inspection
from mirage_jax.data.sources import catalog
from mirage_jax.geometry.clips import take_frames
from mirage_jax.memory import kinds
from mirage_jax.models.trained import TrainedModel

ROOT = pathlib.Path(__file__).parents[1]
MOST_LINES = 50


def blocks(page: str) -> list[str]:
  """The Python blocks of a page."""
  text = (ROOT / page).read_text(encoding='utf-8')
  return re.findall(r'```python\n(.*?)```', text, re.DOTALL)


@pytest.fixture
def added(monkeypatch, tmp_path):
  """Names that docs/extending.md defines; unknown again after the test."""
  memories = dict(kinds.KINDS)
  monkeypatch.setattr(catalog, 'ADDED', dict(catalog.ADDED))
  monkeypatch.chdir(tmp_path)
  names = {'__name__': 'extending'}
  for block in blocks('docs/extending.md'):
    assert len(block.splitlines()) < MOST_LINES
    exec(compile(block, 'extending.md', 'exec'), names)
  yield names
  kinds.KINDS.clear()
  kinds.KINDS.update(memories)


def test_an_added_source_is_right_about_its_poses(added):
  wall = catalog.open_source('wall', frames=24, height=32, width=32, clips=2)
  found = inspection.inspect(wall[0])
  assert found.figures['depth_agrees'] > 0.95
  warped, unwarped = (
    found.figures[f'colour_error_{x}'] for x in ('warped', 'unwarped')
  )
  assert warped < unwarped / 3
  fitted = catalog.open_source('wall', frames=4, height=8, width=8)
  assert fitted[0].rgb.shape == (4, 8, 8, 3)


def test_an_added_experiment_trains_and_its_world_is_saved(added):
  config = added['get_config']()
  config.model.transformer.update(width=32, layers=1)
  settings = config.to_dict()
  run = make_run(config.to_dict(), jax.devices()[:1])
  state = run.init(jax.random.key(0))
  step = sharding.on(run.mesh, run.step)
  state, parts = step(state, run.place(next(run.batches)))
  assert np.isfinite(parts['loss'])
  made = build.make_model(settings, exact=True)
  assert isinstance(made.memory, added['LastFrame'])
  model = TrainedModel(made, jax.device_get(state.params), settings)
  clip = catalog.open_source('wall', frames=4, height=32, width=32)[0]
  place = world.World(model)
  place.observe(clip)
  last = take_frames(clip, slice(3, 4)).cameras
  shown = place.read(last)
  np.testing.assert_allclose(shown.depth_m, 2, atol=1e-3)
  place.save('here')
  again = world.World.load('here', model).read(last)
  np.testing.assert_array_equal(again.rgb, shown.rgb)


@pytest.mark.slow
def test_a_world_in_python(tmp_path, monkeypatch):
  monkeypatch.chdir(tmp_path)
  (block,) = blocks('README.md')
  names = {}
  exec(compile(block, 'README.md', 'exec'), names)
  assert (tmp_path / 'room.ply').stat().st_size > 10_000
  world.World.load('room', names['world'].model)
