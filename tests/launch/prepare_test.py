"""Turns flags of launch.prepare into datasets, or into one line of error."""

import json

import numpy as np
import pytest
from absl import flags
from absl.testing import flagsaver

from launch import prepare
from mirage_jax.data.sources.catalog import open_source

SMALL = {'frames': '3', 'height': '8', 'width': '8', 'rays_per_pixel': '1'}


def run(**given):
  """The figures of the program with these flags, in this process."""
  flags.FLAGS.mark_as_parsed()
  with flagsaver.as_parsed(**given):
    return prepare.main([])


@pytest.mark.slow
@pytest.mark.parametrize('source', ['rooms', 'streets', 'doom'])
def test_a_dataset_of_each_world_is_written_and_read(source, tmp_path):
  given = {'source': source, 'data_dir': str(tmp_path), 'seed': '9'}
  found = run(**given, **SMALL, clips='2', test_clips='1')
  assert json.loads(json.dumps(found))['bytes'] > 100
  options = {'kind': source, 'frames': 3, 'height': 8, 'width': 8, 'seed': 9}
  if source != 'doom':
    options['rays_per_pixel'] = 1
  clips = open_source(found['dataset'])
  direct = open_source(options.pop('kind'), **options)
  assert len(clips) == 2 and len(open_source(found['dataset'], split='test'))
  np.testing.assert_array_equal(clips[1].rgb, direct[1].rgb)


@pytest.mark.parametrize(
  ('given', 'message'),
  [
    ({}, '--data_dir is missing'),
    ({'data_dir': 'x', 'source': 'roms'}, "'roms'"),
    ({'data_dir': 'x', 'clips': '0'}, '0 clips'),
  ],
)
def test_bad_flags_get_one_line(given, message):
  with pytest.raises(ValueError, match=message):
    run(**given)
