"""AdamW with warm-up, a schedule, clipping and a decay mask."""

from typing import Any

import optax

from mirage_jax import trees

SCHEDULES = ('cosine', 'constant')
OPTIMIZERS = ('adamw',)


def make_schedule(
  *,
  learning_rate: float,
  steps: int,
  warmup: int = 0,
  schedule: str = 'cosine',
  final: float = 0.0,
) -> optax.Schedule:
  """Makes the learning rate by step: linear warm-up, then cosine or constant.

  Args:
    learning_rate: the peak, reached at step `warmup`.
    steps: the step at which the cosine ends.
    warmup: steps of the linear rise from 0.
    schedule: 'cosine' or 'constant'.
    final: the cosine's end as a fraction of the peak.

  Raises:
    ValueError: an unknown schedule; a rate that is not positive; a warm-up as
      long as the run.
  """
  if not learning_rate > 0:
    raise ValueError(
      f'optimizer.learning_rate is {learning_rate}, expected more than 0'
    )
  if schedule not in SCHEDULES:
    raise ValueError(
      f'unknown schedule {schedule!r}; have {", ".join(SCHEDULES)}'
    )
  if not 0 <= warmup < steps:
    raise ValueError(
      f'optimizer.warmup is {warmup}, expected 0 <= warmup < '
      f'optimizer.steps = {steps}; lower it'
    )
  rise = optax.linear_schedule(0.0, learning_rate, max(warmup, 1))
  if schedule == 'cosine':
    after = optax.cosine_decay_schedule(learning_rate, steps - warmup, final)
  else:
    after = optax.constant_schedule(learning_rate)
  return optax.join_schedules([rise, after], [warmup]) if warmup else after


def is_decayed(name: str, leaf: Any) -> bool:
  """Tests if weight decay acts on a leaf: on matrices, nothing else.

  Biases, scales, everything inside a norm, and tables of embeddings are left.
  """
  folders = name.lower().split('/')
  if leaf.ndim < 2 or any('norm' in folder for folder in folders):
    return False
  return not any(w in folders[-1] for w in ('bias', 'scale', 'embedding'))


def decay_mask(params: Any) -> Any:
  """Marks where weight decay acts, in a tree like `params`."""
  return trees.map_named(is_decayed, params)


def make_optimizer(
  *,
  name: str = 'adamw',
  learning_rate: float,
  steps: int,
  warmup: int = 0,
  schedule: str = 'cosine',
  final: float = 0.0,
  weight_decay: float = 0.01,
  clip: float = 1.0,
  b1: float = 0.9,
  b2: float = 0.95,
  eps: float = 1e-8,
) -> optax.GradientTransformation:
  """Makes AdamW (arXiv 1711.05101) after clipping by norm.

  Args:
    name: 'adamw'.
    learning_rate: see `make_schedule`, as steps, warmup, schedule and final.
    steps: of the schedule.
    warmup: of the schedule.
    schedule: of the learning rate.
    final: of the schedule.
    weight_decay: decoupled, on the leaves of `decay_mask`.
    clip: largest global norm of the gradient; 0 = no clipping.
    b1: decay of the first moment.
    b2: decay of the second moment.
    eps: added to the root of the second moment.

  Raises:
    ValueError: an unknown optimizer or schedule.
  """
  if name not in OPTIMIZERS:
    raise ValueError(
      f'unknown optimizer {name!r}; have {", ".join(OPTIMIZERS)}'
    )
  rate = make_schedule(
    learning_rate=learning_rate,
    steps=steps,
    warmup=warmup,
    schedule=schedule,
    final=final,
  )
  clipping = optax.clip_by_global_norm(clip) if clip else optax.identity()
  return optax.chain(
    clipping,
    optax.adamw(rate, b1, b2, eps, weight_decay=weight_decay, mask=decay_mask),
  )
