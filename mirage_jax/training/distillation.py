"""Progressive distillation: one step of a student for several of a teacher.

Progressive distillation (arXiv 2202.00512, algorithm 2), all at once instead
of by halves, and from where the student itself arrives. Interval k of the
student's own sampler is drawn for every example; the student samples up to it
from noise, the frozen teacher goes on from there in `teacher_steps` Euler
steps, and the clean sample that the student predicts has to be the one whose
straight path passes where the teacher arrived. Where all steps are right, the
student's whole way ends where the teacher's many steps would have.

Starting from noised data instead would train the student where its sampler
never is: a model this small does not reach the data from noise. So the true
target frames are not used, and all frames of a chunk have one noise level, as
in a sampler; masks and depth come from the teacher, too.
"""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp

from mirage_jax.arrays import Array, Float, Int, Key
from mirage_jax.data.episodes import Episode
from mirage_jax.flow import Sampler, clean_for_endpoint, step_to
from mirage_jax.models.sampling import Predict, denoise, predictor
from mirage_jax.models.world_model import WorldModel
from mirage_jax.training.losses import Targets
from mirage_jax.training.objective import Objective, split_key


@dataclasses.dataclass(frozen=True)
class Distillation:
  """The loss of a student against the predictions of a teacher.

  Attributes:
    objective: its losses, and the noise on what is given.
    sampler: the student's; the grid that it is trained for.
    teacher: the model with more steps.
    teacher_steps: of the teacher for each step of the student.

  Raises:
    ValueError: a sampler that is not of Euler steps, or teacher_steps < 1.
  """

  objective: Objective
  sampler: Sampler
  teacher: WorldModel
  teacher_steps: int = 4

  def __post_init__(self):
    if self.sampler.kind != 'euler':
      raise ValueError(
        f'sampler.kind is {self.sampler.kind!r}; distillation is of euler '
        'steps, a call of the network each'
      )
    if self.teacher_steps < 1:
      raise ValueError(
        f'distillation.teacher_steps is {self.teacher_steps}; expected 1 or '
        'more'
      )

  def __call__(
    self,
    model: WorldModel,
    params: Any,
    episode: Episode,
    key: Key[Array, ''],
    teacher_params: Any,
  ) -> tuple[Float[Array, ''], dict[str, Float[Array, '']]]:
    """Computes the mean loss of a batch, and its parts; see `Objective`.

    Args:
      model: the student.
      params: its variables.
      episode: of the target, only the cameras matter.
      key: of all noise.
      teacher_params: the teacher's variables; they get no gradient.
    """
    draw, noise_key, interval_key = jax.random.split(key, 3)
    keys, codec = split_key(draw), model.codec
    student = self.objective.condition(model, params, episode, keys)
    frozen = jax.lax.stop_gradient((params, student, teacher_params))
    taught = self.objective.condition(self.teacher, frozen[2], episode, keys)
    b, t, h, w = episode.target.depth_m.shape
    interval = draw_intervals(interval_key, b, self.sampler.steps)
    shape = b, t, *codec.grid(h, w), codec.channels
    start, _ = denoise(
      'euler',
      predictor(model, *frozen[:2]),
      jax.random.normal(noise_key, shape),
      self.times_before(interval),
    )
    times = self.times_of(interval)
    teacher = predictor(self.teacher, frozen[2], taught)
    targets = distillation_targets(teacher, start, times)
    prediction = predictor(model, params, student)(start, times[0])
    levels = jnp.broadcast_to(times[0][:, None], (b, t))
    return self.objective.score(
      codec, prediction, targets, levels, student, episode.key[:, 0]
    )

  def times_before(self, interval: Int[Array, 'b']) -> Float[Array, 'n b']:
    """Gives the student's levels up to each example's interval."""
    steps = jnp.arange(self.sampler.steps + 1)[:, None]
    return self.sampler.times()[jnp.minimum(steps, interval)]

  def times_of(self, interval: Int[Array, 'b']) -> Float[Array, 'm b']:
    """Gives the teacher's levels from start to end of each interval."""
    times = self.sampler.times()
    return jnp.linspace(
      times[interval], times[interval + 1], self.teacher_steps + 1
    )


def draw_intervals(
  key: Key[Array, ''], count: int, steps: int
) -> Int[Array, 'b']:
  """Draws an interval for each example, each equally often, in random order.

  A batch that has all of them has a less noisy gradient.
  """
  shift, order = jax.random.split(key)
  first = jax.random.randint(shift, (), 0, steps)
  return jax.random.permutation(order, (first + jnp.arange(count)) % steps)


def distillation_targets(
  predict: Predict,
  start: Float[Array, 'b t y x c'],
  times: Float[Array, 'm b'],
) -> Targets:
  """Computes the clean values whose one step ends where Euler steps do.

  Args:
    predict: the teacher's.
    start: samples at `times[0]`.
    times: descending levels of each example's steps.
  """
  x, last = denoise('euler', predict, start, times)
  end = step_to(x, last.clean, times[-2], times[-1])
  return Targets(
    clean=clean_for_endpoint(start, end, times[0], times[-1]),
    known=jnp.ones((*start.shape[:-1], 1)),
    dynamic=jax.nn.sigmoid(last.dynamic),
    sky=jax.nn.sigmoid(last.sky),
    masks_known=jnp.ones((start.shape[0], 2), bool),
  )
