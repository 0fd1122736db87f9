import json

import pytest
from absl import flags
from absl.testing import flagsaver

from launch import prepare


@pytest.fixture
def asked(monkeypatch, tmp_path):
  """The configs that were asked for, instead of their datasets."""
  flags.FLAGS.mark_as_parsed()
  configs = []

  def pretend(data_dir, config):
    configs.append((data_dir, config))
    (tmp_path / 'shard').write_bytes(b'12345')
    return tmp_path

  monkeypatch.setattr(prepare, 'prepare', pretend)
  return configs


def test_flags_describe_the_dataset(asked, tmp_path):
  with flagsaver.as_parsed(
    source='streets', data_dir=str(tmp_path), clips='5', height='32', seed='9'
  ):
    figures = prepare.main([])
  ((data_dir, config),) = asked
  assert data_dir == tmp_path
  assert (config.world.kind, config.world.height) == ('streets', 32)
  assert (config.clips, config.seed) == (5, 9)
  assert json.loads(json.dumps(figures))['bytes'] == 5


@pytest.mark.parametrize(
  ('given', 'message'),
  [
    ({}, '--data_dir is missing'),
    ({'data_dir': 'x', 'source': 'roms'}, "'roms'"),
    ({'data_dir': 'x', 'clips': '0'}, '0 clips'),
  ],
)
def test_bad_flags_get_one_line(asked, given, message):
  with (
    flagsaver.as_parsed(**given),
    pytest.raises(ValueError, match=message),
  ):
    prepare.main([])
  assert not asked
