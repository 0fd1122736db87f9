"""One training step: gradient, optimizer, moving average, in one `jit`."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax

from mirage_jax.training import state as states

Episode = Any
Metrics = dict[str, jax.Array]
Objective = Callable[..., tuple[Any, dict[str, Any]]]


def make_train_step(
  objective: Objective,
  optimizer: optax.GradientTransformation,
  *,
  seed: int,
  ema: float = 0.0,
  compute_dtype: Any = jnp.float32,
  accumulate: int = 1,
  state_sharding: Any = None,
) -> Callable[..., tuple[states.TrainState, Metrics]]:
  """Makes the jitted step; it donates the state that it takes.

  Args:
    objective: `(params, episode, key, *frozen) -> (loss, {name: scalar})`.
    optimizer: turns gradients into updates.
    seed: step i draws from `fold_in(key(seed), i)`.
    ema: decay of the moving average; 0 = none is kept.
    compute_dtype: of the float parameters in the objective, the frozen ones
      too.
    accumulate: parts that the batch is taken in, one after the other; the
      gradient is their mean. Part i draws from `fold_in(key, i)`.
    state_sharding: shardings of the state that comes out; None = inferred.

  Returns:
    `step(state, episode, *frozen) -> (state, metrics)`; frozen inputs, such
    as a teacher's parameters, go to the objective as they are. The metrics
    are the objective's own, and `loss`, `gradient_norm` and `finite` (whether
    loss and gradient are). A batch that `accumulate` does not divide is a
    ValueError.
  """

  def loss_of(
    params: Any, episode: Episode, key: jax.Array, *frozen: Any
  ) -> tuple[Any, dict[str, Any]]:
    params, *others = states.cast_floats((params, *frozen), compute_dtype)
    return objective(params, episode, key, *others)

  gradient_of = jax.value_and_grad(loss_of, has_aux=True)
  if accumulate > 1:
    gradient_of = _in_parts(gradient_of, accumulate)

  def step(
    state: states.TrainState, episode: Episode, *frozen: Any
  ) -> tuple[states.TrainState, Metrics]:
    key = jax.random.fold_in(jax.random.key(seed), state.step)
    (loss, parts), gradients = gradient_of(state.params, episode, key, *frozen)
    if state_sharding is not None:
      # Where they are needed: summed in parts, not everywhere.
      gradients = jax.lax.with_sharding_constraint(
        gradients, state_sharding.params
      )
    updates, opt_state = optimizer.update(
      gradients, state.opt_state, state.params
    )
    params = optax.apply_updates(state.params, updates)
    average = _average(state, params, ema)
    new = states.TrainState(state.step + 1, params, opt_state, average)
    return new, parts | _figures(loss, gradients)

  return jax.jit(step, donate_argnums=0, out_shardings=(state_sharding, None))


def _figures(loss: jax.Array, gradients: Any) -> Metrics:
  """Reports the loss, the norm of its gradient, and if both are finite."""
  norm = optax.tree.norm(gradients)
  finite = jnp.isfinite(loss) & jnp.isfinite(norm)
  return {'loss': loss, 'gradient_norm': norm, 'finite': finite}


def _average(state: states.TrainState, params: Any, ema: float) -> Any:
  """Updates the moving average, if there is one."""
  if state.ema is None:
    return None
  decay = states.ema_decay(state.step, ema)
  return states.update_ema(state.ema, params, decay)


def _in_parts(function: Callable[..., Any], count: int) -> Callable[..., Any]:
  """Averages `function(params, part, key, ...)` over parts of a batch.

  Examples i, i + count, i + 2 count, ... are a part: every device then has its
  share of every part where it lies.
  """

  def part_of(episode: Episode, i: Any) -> Episode:
    def take(x: jax.Array) -> jax.Array:
      if x.shape[0] % count:
        raise ValueError(
          f'a batch of {x.shape[0]} examples does not split into {count} '
          'parts; choose a multiple, or change train.accumulate'
        )
      return x.reshape(-1, count, *x.shape[1:])[:, i]

    return jax.tree.map(take, episode)

  def mean(params: Any, episode: Episode, key: jax.Array, *frozen: Any) -> Any:
    def add(total: Any, i: jax.Array) -> tuple[Any, None]:
      part_key = jax.random.fold_in(key, i)
      one = function(params, part_of(episode, i), part_key, *frozen)
      return jax.tree.map(lambda t, x: t + x / count, total, one), None

    first = part_of(episode, 0)
    shapes = jax.eval_shape(function, params, first, key, *frozen)
    nothing = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), shapes)
    return jax.lax.scan(add, nothing, jnp.arange(count))[0]

  return mean
