"""Laws of distilled runs: the teacher is beside the state, never in it."""

import jax
import ml_collections
import numpy as np
import pytest

from mirage_jax import sharding, trees
from mirage_jax.build import make_run
from mirage_jax.runs import export
from mirage_jax.runs.checkpoints import Checkpoints
from tests.launch.meshes_test import make_config

STEPS = 3


def make(teacher, devices=1, **changes):
  """A distilled run of a tiny window model."""
  config = make_config('none')
  config.distillation = ml_collections.ConfigDict(
    {'teacher': str(teacher), 'teacher_steps': 2}
  )
  config.update_from_flattened_dict(changes)
  return make_run(config.to_dict(), jax.devices()[:devices])


@pytest.fixture(scope='module')
def teacher(tmp_path_factory):
  """A released folder of a model whose layers all matter."""
  folder, config = tmp_path_factory.mktemp('teacher'), make_config('none')
  run = make_run(config.to_dict(), jax.devices()[:1])
  params = run.init(jax.random.key(7)).params
  params = jax.tree.map(lambda x: np.asarray(x) + 0.02, params)
  export.export(folder, export.Released(params, config.to_dict(), 'none', 0, 0))
  return folder


def go(run, state, count):
  """The state and the losses after so many steps."""
  step, frozen, losses = sharding.on(run.mesh, run.step), run.place_frozen(), []
  for _ in range(count):
    state, parts = step(state, run.place(next(run.batches)), *frozen)
    losses.append(float(parts['loss']))
  return state, losses


@pytest.fixture(scope='module')
def whole(teacher):
  run = make(teacher)
  return go(run, run.init(jax.random.key(0)), STEPS)


def test_resumed_is_never_stopped_bit_for_bit(teacher, whole, tmp_path):
  run = make(teacher)
  state, first = go(run, run.init(jax.random.key(0)), 1)
  with Checkpoints(tmp_path) as checkpoints:
    checkpoints.save(state, run.batches)
  again = make(teacher)
  with Checkpoints(tmp_path) as checkpoints:
    state = checkpoints.restore(again.shapes, again.batches)
  state, rest = go(again, state, STEPS - 1)
  assert trees.fingerprint(state) == trees.fingerprint(whole[0])
  assert first + rest == whole[1]


def test_the_state_has_no_teacher_in_it(teacher):
  config = make_config('none')
  alone = make_run(config.to_dict(), jax.devices()[:1])
  shapes = [trees.shapes(x.shapes) for x in (alone, make(teacher))]
  assert trees.first_difference(*shapes) is None


def test_the_teacher_lies_as_the_student_does(teacher):
  run = make(teacher, 4, **{'mesh.fsdp': 2, 'mesh.model': 2})
  theirs, ours = run.place_frozen()[0], run.shapes.params
  for x, y in zip(*map(jax.tree.leaves, (theirs, ours)), strict=True):
    assert x.sharding == y.sharding and x.shape == y.shape
  kernel = theirs['params']['generator']['trunk']['blocks']['mlp']['up'][
    'kernel'
  ]
  assert kernel.addressable_shards[0].data.shape == (2, 64, 256)


@pytest.mark.parametrize(
  'changes, words',
  [
    ({'distillation.teacher': 'rooms_tinny'}, "no checkpoint 'rooms_tinny'"),
    ({'distillation.teacher': 'rooms_tiny'}, r'\(64, 64, 4, 4\), this exper'),
    ({'distillation.teacher_steps': 0}, 'distillation.teacher_steps is 0'),
    ({'sampler.kind': 'heun'}, "sampler.kind is 'heun'; distillation is of"),
  ],
)
def test_bad_settings_are_named(teacher, changes, words):
  with pytest.raises((ValueError, FileNotFoundError), match=words) as error:
    make(teacher, **changes)
  assert '\n' not in str(error.value)


def test_unknown_keys_are_named(teacher):
  config = make_config('none')
  config.distillation = ml_collections.ConfigDict(
    {'teacher': str(teacher), 'teachr_steps': 2}
  )
  with pytest.raises(ValueError, match="key 'distillation.teachr_steps'"):
    make_run(config.to_dict(), jax.devices()[:1])
