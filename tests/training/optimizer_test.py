"""Laws of the optimizer: ends of the schedule, clipping, what decays."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from mirage_jax.training import optimizer

PARAMS = {
  'trunk': {
    'norm': {'kernel': jnp.ones((3, 3)), 'scale': jnp.ones((2, 3))},
    'attention': {'kernel': jnp.ones((2, 3, 3)), 'bias': jnp.ones((2, 3))},
    'q_norm': {'scale': jnp.ones((2, 3))},
  },
  'position_embedding': jnp.ones((4, 3)),
  'token': {'embedding': jnp.ones((4, 3))},
  'guess_bias': jnp.ones(()),
}


def test_only_matrices_decay():
  mask = optimizer.decay_mask(PARAMS)
  assert mask['trunk']['attention'] == {'kernel': True, 'bias': False}
  assert sum(jax.tree.leaves(mask)) == 1


def test_decay_pulls_the_masked_leaves_and_no_other():
  tx = optimizer.make_optimizer(
    learning_rate=0.1, steps=10, schedule='constant', weight_decay=0.5
  )
  zeros = jax.tree.map(jnp.zeros_like, PARAMS)
  updates, _ = tx.update(zeros, tx.init(PARAMS), PARAMS)
  kernel = updates['trunk']['attention'].pop('kernel')
  np.testing.assert_allclose(kernel, -0.05, rtol=1e-6)
  assert all(not x.any() for x in jax.tree.leaves(updates))


@pytest.mark.parametrize('warmup', [0, 1, 5])
@pytest.mark.parametrize('schedule', optimizer.SCHEDULES)
def test_ends_of_the_schedule(schedule, warmup):
  rate = optimizer.make_schedule(
    learning_rate=2.0, steps=20, warmup=warmup, schedule=schedule, final=0.1
  )
  assert float(rate(0)) == (0.0 if warmup else 2.0)
  assert float(rate(warmup)) == pytest.approx(2.0)
  end = 2.0 if schedule == 'constant' else 0.2
  assert float(rate(20)) == pytest.approx(end)
  assert float(rate(50)) == pytest.approx(end)
  values = [float(rate(i)) for i in range(21)]
  assert values[: warmup + 1] == sorted(values[: warmup + 1])
  assert values[warmup:] == sorted(values[warmup:], reverse=True)


@pytest.mark.parametrize('clip', [0.0, 0.5])
def test_clipping_bounds_the_gradient(clip):
  tx = optimizer.make_optimizer(
    learning_rate=1.0,
    steps=10,
    schedule='constant',
    weight_decay=0.0,
    clip=clip,
    eps=1e6,  # so large that Adam's step is proportional to its gradient
    b1=0.0,
    b2=0.0,
  )
  params = {'w': jnp.zeros((2, 2))}
  gradient = {'w': jnp.full((2, 2), 3.0)}
  updates, _ = tx.update(gradient, tx.init(params), params)
  norm = float(optax.tree.norm(updates)) * 1e6
  assert norm == pytest.approx(clip or 6.0, rel=1e-3)


@pytest.mark.parametrize(
  'bad, words',
  [
    ({'name': 'adan'}, "unknown optimizer 'adan'; have adamw"),
    ({'schedule': 'cosin'}, "unknown schedule 'cosin'; have cosine, constant"),
    ({'warmup': 10}, 'optimizer.warmup is 10, expected 0 <= warmup <'),
    ({'warmup': -1}, 'optimizer.warmup is -1'),
    ({'learning_rate': 0.0}, 'optimizer.learning_rate is 0.0'),
  ],
)
def test_bad_settings_are_named(bad, words):
  with pytest.raises(ValueError) as error:
    optimizer.make_optimizer(**({'learning_rate': 1e-3, 'steps': 10} | bad))
  assert str(error.value).startswith(words)
