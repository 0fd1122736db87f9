"""A model of one matrix and a stream of numbers, to train in milliseconds."""

import flax.struct
import grain
import jax
import jax.numpy as jnp
import numpy as np

from mirage_jax.training import state
from mirage_jax.training.optimizer import make_optimizer
from mirage_jax.training.step import make_train_step

SIZE = 4
ANYTIME = 10**9  # a schedule that no test reaches the end of


@flax.struct.dataclass
class Batch:
  x: np.ndarray
  key: np.ndarray


def make_batches(bad: int | None = None):
  """Batches of two; example `bad` holds a NaN."""

  def example(i):
    x = np.random.default_rng(i).normal(size=SIZE).astype(np.float32)
    return Batch(np.full_like(x, np.nan) if i == bad else x, np.int32(i))

  source = grain.MapDataset.range(64).shuffle(seed=3).repeat().map(example)
  return iter(source.to_iter_dataset().batch(2))


def objective(params, batch, key):
  noise = 0.1 * jax.random.normal(key, batch.x.shape)
  out = (batch.x + noise) @ params['dense']['kernel'] + params['dense']['bias']
  fit = jnp.mean((out - batch.x) ** 2)
  return fit, {'fit': fit}


def make_params(size: int = SIZE):
  kernel = jax.random.normal(jax.random.key(0), (size, size))
  return {'dense': {'kernel': kernel, 'bias': jnp.zeros(size)}}


def make_training(seed: int = 0, fit=objective):
  """A fresh `(state, step)`."""
  optimizer = make_optimizer(learning_rate=0.01, steps=ANYTIME, warmup=2)
  step = make_train_step(fit, optimizer, seed=seed, ema=0.9)
  return state.create_state(make_params(), optimizer, True), step
