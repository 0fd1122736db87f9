import dataclasses
import itertools
import json
import sys

import chex
import jax
import numpy as np
import pytest
from orbax.checkpoint import v1 as ocp

from mirage_jax.data.pipeline import Examples, make_pipeline
from mirage_jax.data.sources.catalog import MixedSource
from tests.data.walk import textured_wall_clip, there_and_back

SOURCE = [
  textured_wall_clip(there_and_back(16, 1 + 0.3 * i), 8, 8, i) for i in range(5)
]
SIZES = {'history': 4, 'context': 2, 'target': 2, 'revisit_fraction': 0.5}


def pipeline(batch_size=4, seed=1, **options):
  return make_pipeline(
    SOURCE, batch_size=batch_size, seed=seed, **(SIZES | options)
  )


def take(dataset, count=4):
  return list(itertools.islice(iter(dataset), count))


def keys(batches):
  return [tuple(key) for batch in batches for key in batch.key.tolist()]


def test_a_batch_has_fixed_shapes():
  for batch in take(pipeline(), 6):
    assert batch.history.rgb.shape == (4, 4, 8, 8, 3)
    assert batch.context.depth_m.shape == (4, 2, 8, 8)
    assert batch.target.world_from_camera.shape == (4, 2, 4, 4)
    assert batch.key.shape == (4, 2)


def test_clips_with_and_without_masks_go_together():
  masks = {name: np.ones((16, 8, 8), bool) for name in ('dynamic', 'sky')}
  bare = [dataclasses.replace(x, dynamic=None, sky=None) for x in SOURCE]
  masked = [dataclasses.replace(x, **masks) for x in SOURCE]
  mixed = MixedSource([bare, masked])
  for batch in take(make_pipeline(mixed, batch_size=4, **SIZES)):
    from_masked = batch.key[:, 0] % 2 == 1
    np.testing.assert_array_equal(batch.known.all(1), from_masked)
    np.testing.assert_array_equal(batch.known.any(1), from_masked)
    empty = ~batch.target.dynamic.any((1, 2, 3))
    np.testing.assert_array_equal(empty, ~from_masked)


def test_the_seed_decides_everything():
  chex.assert_trees_all_equal(take(pipeline()), take(pipeline()))
  assert keys(take(pipeline())) != keys(take(pipeline(seed=2)))


def test_threads_change_nothing():
  chex.assert_trees_all_equal(
    take(pipeline(threads=0)), take(pipeline(threads=3, prefetch=5))
  )


def test_an_epoch_sees_every_clip_once_and_the_next_another_way():
  seen = keys(take(pipeline(batch_size=5), 3))
  for epoch in range(3):
    part = seen[5 * epoch : 5 * epoch + 5]
    assert sorted(part) == [(index, epoch) for index in range(5)]
  orders = {tuple(i for i, _ in seen[5 * e : 5 * e + 5]) for e in range(3)}
  assert len(orders) > 1


@pytest.mark.parametrize('count', [1, 2, 4])
def test_processes_share_the_same_batches(count):
  """Batch k of all processes in a row is one process's batch k."""
  whole = take(pipeline())
  shares = [
    take(pipeline(process_index=i, process_count=count)) for i in range(count)
  ]
  for k, batch in enumerate(whole):
    parts = [share[k] for share in shares]
    joined = jax.tree.map(lambda *x: np.concatenate(x), *parts)
    chex.assert_trees_all_equal(joined, batch)


def test_the_key_names_the_example():
  batch = take(pipeline(), 3)[-1]
  examples = Examples(SOURCE, 1, *SIZES.values())
  again = examples.example(*batch.key[2].tolist())
  chex.assert_trees_all_equal(again, jax.tree.map(lambda x: x[2], batch))


def test_state_restores_bit_for_bit():
  iterator = iter(pipeline())
  for _ in range(3):
    next(iterator)
  state = json.loads(json.dumps(iterator.get_state()))
  expected = [next(iterator) for _ in range(3)]
  resumed = iter(pipeline())
  next(resumed)
  resumed.set_state(state)
  chex.assert_trees_all_equal([next(resumed) for _ in range(3)], expected)


def test_iterator_goes_into_a_checkpoint(tmp_path):
  iterator = iter(pipeline())
  for _ in range(3):
    next(iterator)
  ocp.save_checkpointables(tmp_path / 'ckpt', {'data': iterator})
  expected = next(iterator)
  resumed = iter(pipeline())
  ocp.load_checkpointables(tmp_path / 'ckpt', {'data': resumed})
  chex.assert_trees_all_equal(next(resumed), expected)


@pytest.mark.parametrize(
  ('options', 'message'),
  [
    ({'batch_size': 3, 'process_count': 2}, 'batch_size 3 .* 2 processes'),
    ({'batch_size': 0}, 'batch_size 0'),
    ({'process_index': 2, 'process_count': 2}, 'process_index 2 of 2'),
    ({'revisit_fraction': 1.5}, 'revisit_fraction 1.5'),
    ({'target': 0}, 'history, context, target are 4, 2, 0'),
  ],
)
def test_bad_options_get_one_line(options, message):
  with pytest.raises(ValueError, match=message):
    pipeline(**options)


def test_clips_that_are_too_short_end_the_run():
  with pytest.raises(ValueError, match='16 frames is too short'):
    next(iter(pipeline(target=15)))


def test_an_empty_source_is_refused():
  with pytest.raises(ValueError, match='no clips'):
    make_pipeline([], batch_size=1, **SIZES)


def test_tensorflow_stays_out():
  take(pipeline(), 1)
  assert 'tensorflow' not in sys.modules
