"""Laws of the step: a batch taken in parts is the batch."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from mirage_jax.training import state
from mirage_jax.training.step import make_train_step
from tests.training.fakes import SIZE, make_params


def fit(params, batch, key):
  del key
  out = batch @ params['dense']['kernel'] + params['dense']['bias']
  return jnp.mean((out - 1) ** 2), {'first': batch[0, 0]}


def take(objective, batch, accumulate):
  """One step of plain descent: the parameters, and the metrics."""
  optimizer = optax.sgd(0.1)
  step = make_train_step(objective, optimizer, seed=0, accumulate=accumulate)
  return step(state.create_state(make_params(), optimizer, False), batch)


@pytest.mark.parametrize('accumulate', [2, 3, 6])
def test_parts_have_the_gradient_of_the_whole(accumulate):
  batch = np.random.default_rng(0).normal(size=(6, SIZE)).astype(np.float32)
  whole, one = take(fit, batch, 1)
  parts, many = take(fit, batch, accumulate)
  kernel = [s.params['dense']['kernel'] for s in (whole, parts)]
  np.testing.assert_allclose(*kernel, rtol=1e-5)
  np.testing.assert_allclose(many['loss'], one['loss'], rtol=1e-5)
  norms = one['gradient_norm'], many['gradient_norm']
  np.testing.assert_allclose(*norms, rtol=1e-5)
  np.testing.assert_allclose(
    many['first'], batch[:accumulate, 0].mean(), rtol=1e-5
  )


def test_every_part_draws_for_itself():
  def objective(params, batch, key):
    draw = jax.random.uniform(key)
    return 0.0 * fit(params, batch, key)[0], {'draw': draw, 'square': draw**2}

  _, found = take(objective, np.ones((4, SIZE), np.float32), 4)
  assert float(found['square'] - found['draw'] ** 2) > 1e-3


def test_a_batch_that_does_not_split_is_refused():
  with pytest.raises(ValueError, match='a batch of 5 examples does not split'):
    take(fit, np.ones((5, SIZE), np.float32), 2)
