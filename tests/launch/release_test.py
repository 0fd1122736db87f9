"""A released folder: the model, and a card that says what is known of it."""

import json

import jax
import pytest
from absl import flags
from absl.testing import flagsaver

from experiments import smoke
from launch import release
from mirage_jax import build
from mirage_jax.evaluation.reports import cards
from mirage_jax.models.world_model import init_params
from mirage_jax.runs import export


@pytest.fixture
def model(tmp_path):
  """An untrained window model."""
  config = smoke.get_config()
  config.memory = {'kind': 'none'}
  config.source.kind = 'rooms,streets*2'
  size = config.source.height, config.source.width
  params = init_params(
    build.make_model(config.to_dict()), jax.random.key(0), *size
  )
  folder = tmp_path / 'model'
  export.export(
    folder, export.Released(params, config.to_dict(), 'abc123', 7, 3)
  )
  return folder


def run(**values):
  """Runs the program in process with these flags."""
  if not flags.FLAGS.is_parsed():
    flags.FLAGS.mark_as_parsed()
  with flagsaver.flagsaver(**values):
    return release.main([])


def test_a_card_says_what_was_trained_and_measured(model, tmp_path):
  interval = {'mean': 31.5, 'low': 30.0, 'high': 33.0, 'n': 4}
  found = {'closed_loop': {'tiny': {'returned_psnr_db': interval}}}
  (tmp_path / 'metrics.json').write_text(json.dumps(found))
  folder = tmp_path / 'released'
  run(
    checkpoint=str(model),
    output=str(folder),
    metrics=str(tmp_path / 'metrics.json'),
    hardware='two cores',
    hours=1.25,
  )
  again = export.load(folder)
  assert (again.commit, again.steps, again.seed) == ('abc123', 7, 3)
  card = (folder / 'README.md').read_text()
  for words in (
    '# released',
    'none: the window alone',
    'procedural rooms',
    'procedural streets',
    '7 steps of 2 episodes, seed 3',
    '1.2 hours on two cores',
    '`abc123`',
    '31.50 [30.00, 33.00]',
    '## Limits',
    '## Not for',
  ):
    assert words in card, words


def test_several_measurements_are_called_by_their_folders(model, tmp_path):
  for name in ('rooms', 'streets'):
    (tmp_path / name).mkdir()
    interval = {'mean': float(len(name)), 'low': 0.0, 'high': 9.0, 'n': 4}
    found = {'closed_loop': {'tiny': {'returned_psnr_db': interval}}}
    (tmp_path / name / 'metrics.json').write_text(json.dumps(found))
  paths = [f'{tmp_path}/{name}/metrics.json' for name in ('rooms', 'streets')]
  folder = tmp_path / 'released'
  run(checkpoint=str(model), output=str(folder), metrics=','.join(paths))
  _, rooms, streets = (folder / 'README.md').read_text().split('\n### ')
  assert rooms.startswith('rooms\n') and '5.000 [0.000, 9.000]' in rooms
  assert streets.startswith('streets\n') and '7.000' in streets


def test_a_card_without_measurements_says_so(model, tmp_path):
  run(checkpoint=str(model), output=str(tmp_path / 'released'))
  card = (tmp_path / 'released/README.md').read_text()
  assert 'Not measured.' in card and 'hours' not in card


def test_hours_are_those_of_the_steps():
  rows = [{'step': 20, 'steps_per_s': 0.5}, {'step': 30, 'steps_per_s': 1.0}]
  assert cards.training_hours(rows) * 3600 == pytest.approx(50)


@pytest.mark.parametrize(
  'values,message',
  [
    ({'metrics': 'nowhere.json'}, '--metrics=nowhere.json cannot be read'),
    ({'output': None}, '--output is missing'),
    ({'checkpoint': 'nowhere'}, 'nowhere'),
  ],
)
def test_bad_input_is_named_and_nothing_is_left(
  values, message, model, tmp_path
):
  folder = tmp_path / 'released'
  good = {'checkpoint': str(model), 'output': str(folder)}
  with pytest.raises((ValueError, FileNotFoundError), match=message):
    run(**{**good, **values})
  assert not folder.exists()
