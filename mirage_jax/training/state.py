"""The state of training: parameters, optimizer, moving average."""

import dataclasses
from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np
import optax

from mirage_jax import trees
from mirage_jax.arrays import Float, Int

Params = Any


@flax.struct.dataclass
class TrainState:
  """All that a training step changes; it holds no random key.

  Attributes:
    step: steps taken so far; step i draws from `fold_in(key(seed), i)`.
    params: float32 master parameters, nested dicts.
    opt_state: the optimizer's.
    ema: exponential moving average of `params`, or None without one.
  """

  step: Int[jax.Array, '']
  params: Params
  opt_state: Any
  ema: Params | None

  @property
  def best(self) -> Params:
    """Gives the parameters to evaluate and ship: the average if any."""
    return self.params if self.ema is None else self.ema


def create_state(
  params: Params, optimizer: optax.GradientTransformation, ema: bool
) -> TrainState:
  """Makes the state before the first step; pure, for use under `jit`."""
  return TrainState(
    step=jnp.zeros((), jnp.int32),
    params=params,
    opt_state=optimizer.init(params),
    ema=jax.tree.map(jnp.copy, params) if ema else None,
  )


def branch(state: TrainState, base: Params, name: str) -> TrainState:
  """Makes a fresh state that starts from trained parameters.

  What `base` does not have, such as the layers of a memory, stays as it was.

  Raises:
    ValueError: `base` has a leaf that the state lacks, or in another shape.
  """
  new = trees.flatten(state.params)
  for leaf, value in trees.flatten(base).items():
    mine = tuple(new[leaf].shape) if leaf in new else None
    if mine != value.shape:
      raise ValueError(
        f'base {name} has {leaf} of shape {value.shape}, this experiment '
        f'{mine or "has no such leaf"}; give a base whose model is a part of '
        'this one'
      )
    value = np.asarray(value, new[leaf].dtype)
    new[leaf] = jax.device_put(value, new[leaf].sharding)
  params = trees.unflatten(new)
  ema = None if state.ema is None else jax.tree.map(jnp.copy, params)
  return dataclasses.replace(state, params=params, ema=ema)


def ema_decay(step: Int[jax.Array, ''], decay: float) -> Float[jax.Array, '']:
  """Computes the decay at `step`, small at first for short runs.

  min(decay, (1 + step) / (10 + step)), as in TensorFlow's moving averages.
  """
  step = step.astype(jnp.float32)
  return jnp.minimum(decay, (1 + step) / (10 + step))


def update_ema(ema: Params, params: Params, decay) -> Params:
  """Computes `decay * ema + (1 - decay) * params`."""
  return jax.tree.map(lambda e, p: e + (1 - decay) * (p - e), ema, params)


def cast_floats(tree: Any, dtype) -> Any:
  """Casts float leaves to `dtype`; leaves the others as they are.

  Mixed precision is `loss(cast_floats(params, bfloat16))`: the gradient comes
  back through the cast in float32, where the optimizer keeps its masters.
  """
  return jax.tree.map(
    lambda x: x.astype(dtype) if jnp.issubdtype(x.dtype, jnp.floating) else x,
    tree,
  )
