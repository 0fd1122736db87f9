"""Laws of the state: closed form of the average, precision of the masters."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from mirage_jax.training import state
from mirage_jax.training.step import make_train_step
from tests.training.fakes import make_params, make_training


def test_ema_has_its_closed_form():
  decay, values = 0.8, [1.0, 5.0, -2.0, 3.0]
  average = {'w': jnp.asarray(7.0)}
  for value in values:
    average = state.update_ema(average, {'w': jnp.asarray(value)}, decay)
  n = len(values)
  expected = decay**n * 7.0 + sum(
    (1 - decay) * decay ** (n - 1 - i) * v for i, v in enumerate(values)
  )
  np.testing.assert_allclose(average['w'], expected, rtol=1e-6)


def test_ema_of_a_constant_is_the_constant():
  params = make_params()
  average = state.update_ema(params, params, 0.97)
  jax.tree.map(np.testing.assert_array_equal, average, params)


def test_ema_decay_rises_to_its_limit():
  decays = [float(state.ema_decay(jnp.asarray(i), 0.9)) for i in range(200)]
  assert decays == sorted(decays)
  assert decays[0] == pytest.approx(0.1) and decays[-1] == pytest.approx(0.9)


def test_best_is_the_average_where_there_is_one():
  optimizer = optax.sgd(0.1)
  with_average = state.create_state(make_params(), optimizer, True)
  without = state.create_state(make_params(), optimizer, False)
  assert with_average.best is with_average.ema
  assert without.best is without.params and without.ema is None


def test_bfloat16_computes_low_and_keeps_masters_high():
  seen = []

  def objective(params, batch, key):
    del batch, key
    seen.append(params['dense']['kernel'].dtype)
    return jnp.sum(params['dense']['kernel'] ** 2).astype(jnp.float32), {}

  optimizer = optax.sgd(1e-4)
  current = state.create_state(make_params(), optimizer, False)
  before = np.asarray(current.params['dense']['kernel'])
  step = make_train_step(
    objective, optimizer, seed=0, compute_dtype=jnp.bfloat16
  )
  current, metrics = step(current, None)
  after = current.params['dense']['kernel']
  assert seen == [jnp.bfloat16] and after.dtype == jnp.float32
  # The update is far below bfloat16's resolution of the weights.
  np.testing.assert_allclose(after, before * (1 - 2e-4), rtol=5e-6)
  assert bool(metrics['finite'])


def test_cast_floats_leaves_integers_alone():
  tree = {'a': jnp.ones(2), 'b': jnp.arange(2)}
  cast = state.cast_floats(tree, jnp.bfloat16)
  assert cast['a'].dtype == jnp.bfloat16 and cast['b'].dtype == jnp.int32


def test_the_key_of_a_step_depends_on_seed_and_step_only():
  def objective(params, batch, key):
    del batch
    zero = 0.0 * params['dense']['bias'].sum()
    return zero, {'draw': jax.random.uniform(key)}

  def draws(seed, skip=0):
    current, step = make_training(seed, objective)
    current = current.replace(step=current.step + skip)
    found = []
    for _ in range(3):
      current, metrics = step(current, None)
      found.append(float(metrics['draw']))
    return found

  first = draws(0)
  assert len(set(first)) == 3
  assert draws(0, skip=1)[:2] == first[1:]
  assert not set(draws(1)) & set(first)


def test_the_step_donates_its_state():
  current, step = make_training(
    fit=lambda p, b, k: (p['dense']['bias'].sum(), {})
  )
  kernel = current.params['dense']['kernel']
  step(current, None)
  assert kernel.is_deleted()


def test_a_branch_starts_from_the_base_and_keeps_what_is_new():
  optimizer = optax.sgd(0.1)
  new = {**make_params(), 'memory': {'scale': jnp.full(2, 3.0)}}
  fresh = state.create_state(new, optimizer, True)
  base = jax.tree.map(lambda x: np.asarray(x) + 1, make_params())
  current = state.branch(fresh, base, 'b')
  for params in (current.params, current.ema):
    jax.tree.map(np.testing.assert_array_equal, params['dense'], base['dense'])
    np.testing.assert_array_equal(params['memory']['scale'], [3, 3])
  assert int(current.step) == 0


@pytest.mark.parametrize(
  'base, words',
  [
    ({'dense': {'bias': np.zeros(3)}}, r'dense/bias of shape \(3,\)'),
    ({'other': np.zeros(3)}, 'has no such leaf'),
  ],
)
def test_a_base_is_a_part_of_the_model(base, words):
  fresh = state.create_state(make_params(), optax.sgd(0.1), False)
  with pytest.raises(ValueError, match=words):
    state.branch(fresh, base, 'b')
