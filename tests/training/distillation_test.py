"""Laws of distillation: targets of the student and its starting points."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mirage_jax.flow import Sampler, interpolate
from mirage_jax.models.sampling import denoise
from mirage_jax.models.world_model import Prediction, init_params
from mirage_jax.training.distillation import (
  Distillation,
  distillation_targets,
  draw_intervals,
)
from mirage_jax.training.losses import LOSSES
from tests.training.objective_test import MODEL, OBJECTIVE, SIZE
from tests.training.objective_test import episode as episode

SHAPE = (3, 2, 4, 4, 4)
CLEAN = jax.random.normal(jax.random.key(0), SHAPE)
NOISE = jax.random.normal(jax.random.key(1), SHAPE)
DISTILLATION = Distillation(OBJECTIVE, Sampler(steps=3), MODEL, teacher_steps=2)


def predicts(clean):
  """A teacher whose prediction is `clean(x, level)`."""

  def predict(x, level):
    found = clean(x, jnp.reshape(level, (-1, 1, 1, 1, 1)))
    mask = found[..., 0]
    return Prediction(found, mask, -mask, jnp.zeros_like(mask))

  return predict


def bends(x, level):
  return jnp.tanh(x) * level + 0.5 * x**2 * (1 - level)


@pytest.mark.parametrize('shift', [1.0, 3.0])
@pytest.mark.parametrize('steps', [1, 4])
def test_on_straight_paths_the_target_is_the_clean_sample(steps, shift):
  sampler = Sampler(steps=3, shift=shift)
  made = dataclasses.replace(DISTILLATION, sampler=sampler, teacher_steps=steps)
  times = made.times_of(jnp.arange(3))
  start = interpolate(CLEAN, NOISE, times[0])
  targets = distillation_targets(predicts(lambda x, level: CLEAN), start, times)
  np.testing.assert_allclose(targets.clean, CLEAN, atol=2e-5)


def test_the_target_of_a_teacher_of_one_step_is_its_prediction():
  times = dataclasses.replace(DISTILLATION, teacher_steps=1).times_of(
    jnp.arange(3)
  )
  targets = distillation_targets(predicts(bends), NOISE, times)
  own = predicts(bends)(NOISE, times[0])
  np.testing.assert_allclose(targets.clean, own.clean, atol=1e-5)
  np.testing.assert_allclose(targets.dynamic, jax.nn.sigmoid(own.dynamic))


def test_one_step_to_the_target_ends_at_the_sample_of_the_teacher():
  """And steps after one another are the sampler of that many steps."""
  times = DISTILLATION.times_of(jnp.zeros(3, int))
  x = NOISE
  for interval in range(3):
    times = DISTILLATION.times_of(jnp.full(3, interval))
    t, end = times[0][0], times[-1][0]
    x += (
      (end - t)
      / t
      * (x - distillation_targets(predicts(bends), x, times).clean)
    )
  _, many = denoise('euler', predicts(bends), NOISE, Sampler(steps=6).times())
  np.testing.assert_allclose(x, many.clean, atol=1e-4)


def test_the_student_starts_at_samples_of_its_sampler():
  interval = jnp.array([0, 2, 1])
  times = DISTILLATION.times_before(interval)
  start, _ = denoise('euler', predicts(bends), NOISE, times)
  for i, count in enumerate([0, 2, 1]):
    x = NOISE[i : i + 1]
    if count:
      grid = DISTILLATION.sampler.times()[: count + 2]
      x, _ = denoise('euler', predicts(bends), x, grid)
    np.testing.assert_allclose(start[i], x[0], atol=1e-5)


def test_intervals_are_drawn_evenly():
  drawn = [draw_intervals(jax.random.key(i), 7, 3) for i in range(20)]
  counts = np.stack([np.bincount(x, minlength=3) for x in drawn])
  assert counts.min() == 2 and counts.max() == 3
  assert len({tuple(np.asarray(x)) for x in drawn}) > 10


@pytest.fixture(scope='module')
def params():
  """Parameters without zeros, so that every layer matters."""
  random = np.random.default_rng(3)
  return jax.tree.map(
    lambda x: x + 0.05 * random.normal(size=x.shape).astype(np.float32),
    init_params(MODEL, jax.random.key(0), SIZE, SIZE),
  )


@pytest.fixture(scope='module')
def gradient():
  """Loss and parts, and gradients of student and teacher."""
  made = dataclasses.replace(DISTILLATION, teacher_steps=1)

  def loss(params, teacher, episode):
    return made(MODEL, params, episode, jax.random.key(0), teacher)

  return jax.jit(jax.value_and_grad(loss, (0, 1), has_aux=True))


def largest(tree):
  return max(float(jnp.abs(x).max()) for x in jax.tree.leaves(tree))


def test_a_student_equal_to_its_teacher_has_no_gradient(
  gradient, params, episode
):
  (_, parts), (student, _) = gradient(params, params, episode)
  assert largest(student) < 1e-4
  assert float(parts['rgb']) < 1e-8 and float(parts['depth']) < 1e-8
  assert set(LOSSES) < set(parts)


def test_the_teacher_gets_no_gradient(gradient, params, episode):
  other = jax.tree.map(lambda x: 1.3 * x, params)
  _, (student, teacher) = gradient(params, other, episode)
  assert largest(student) > 1e-3
  assert largest(teacher) == 0


def test_the_true_target_is_not_used(gradient, params, episode):
  target = episode.target.replace(
    rgb=0 * episode.target.rgb, depth_m=0 * episode.target.depth_m
  )
  (loss, _), _ = gradient(params, params, episode)
  (other, _), _ = gradient(params, params, episode.replace(target=target))
  assert loss == other


@pytest.mark.parametrize(
  'change, words',
  [
    ({'sampler': Sampler('heun')}, "sampler.kind is 'heun'"),
    ({'teacher_steps': 0}, 'distillation.teacher_steps is 0; expected 1'),
  ],
)
def test_bad_settings_are_named(change, words):
  with pytest.raises(ValueError, match=words):
    dataclasses.replace(DISTILLATION, **change)
