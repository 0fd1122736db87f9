"""Fewer steps: a student's one step lands where several of a teacher's do.

Progressive distillation (arXiv 2202.00512, algorithm 2), all at once instead
of by halves, and from where the student itself arrives. Interval k of the
student's own sampler is drawn for every example; the student samples up to it
from noise, the frozen teacher goes on from there in `teacher_steps` Euler
steps, and the clean sample that the student predicts has to be the one whose
straight path passes where the teacher arrived. Where all steps are right, the
student's whole way ends where the teacher's many steps would have.

Starting from noised data instead would train the student where its sampler
never is: a model this small does not reach the data from noise. So the target
frames are not looked at, nor are levels of single frames trained, which no
sampler uses; masks and depth are the teacher's, too.
"""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp

from mirage_jax.arrays import Array, Float, Int, Key
from mirage_jax.data.episodes import Episode
from mirage_jax.flow import Sampler, aim, towards
from mirage_jax.models.codec import CHANNELS
from mirage_jax.models.sampling import Predict, denoise, predictor
from mirage_jax.models.world_model import Mirage
from mirage_jax.training.objective import Answer, Given, Objective


@dataclasses.dataclass(frozen=True)
class Distillation:
  """The loss of a student against a teacher's answers.

  Attributes:
    objective: its losses, and the noise on what is given.
    sampler: the student's; the grid that it is trained for.
    teacher: the model that is asked.
    teacher_steps: of the teacher for each step of the student.

  Raises:
    ValueError: a sampler that is not of Euler steps, or teacher_steps < 1.
  """

  objective: Objective
  sampler: Sampler
  teacher: Mirage
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
    model: Mirage,
    params: Any,
    episode: Episode,
    key: Key[Array, ''],
    teacher_params: Any,
  ) -> tuple[Float[Array, ''], dict[str, Float[Array, '']]]:
    """Mean loss of a batch, and its parts; see `Objective`.

    Args:
      model: the student.
      params: its variables.
      episode: of the target, only the cameras matter.
      key: of all noise.
      teacher_params: the teacher's variables; they get no gradient.
    """
    draw, noise_key, interval_key = jax.random.split(key, 3)
    cameras, shape = episode.target.cameras, episode.target.depth_m.shape
    student = self.objective.condition(model, params, episode, draw)
    frozen = jax.lax.stop_gradient((params, student, teacher_params))
    asked = self.objective.condition(self.teacher, frozen[2], episode, draw)

    def predict(model: Mirage, params: Any, given: Given) -> Predict:
      return predictor(model, params, cameras, given.window, given.readout)

    interval = draw_intervals(interval_key, shape[0], self.sampler.steps)
    noise = jax.random.normal(noise_key, (*shape, CHANNELS))
    start, _ = denoise(
      'euler',
      predict(model, *frozen[:2]),
      noise,
      self.times_before(interval),
    )
    times = self.times_of(interval)
    answer = teach(predict(self.teacher, frozen[2], asked), start, times)
    prediction = predict(model, params, student)(start, times[0])
    levels = jnp.broadcast_to(times[0][:, None], shape[:2])
    return self.objective.score(prediction, answer, levels, student)

  def times_before(self, interval: Int[Array, 'b']) -> Float[Array, 'n b']:
    """The student's levels up to the start of each example's interval."""
    steps = jnp.arange(self.sampler.steps + 1)[:, None]
    return self.sampler.times()[jnp.minimum(steps, interval)]

  def times_of(self, interval: Int[Array, 'b']) -> Float[Array, 'm b']:
    """The teacher's levels from the start to the end of each interval."""
    times = self.sampler.times()
    return jnp.linspace(
      times[interval], times[interval + 1], self.teacher_steps + 1
    )


def draw_intervals(
  key: Key[Array, ''], count: int, steps: int
) -> Int[Array, 'b']:
  """An interval for each example: as many of each as can be, in random order.

  A batch that has all of them has a less noisy gradient.
  """
  shift, order = jax.random.split(key)
  first = jax.random.randint(shift, (), 0, steps)
  return jax.random.permutation(order, (first + jnp.arange(count)) % steps)


def teach(
  predict: Predict,
  start: Float[Array, 'b t h w c'],
  times: Float[Array, 'm b'],
) -> Answer:
  """What must be predicted at `start`, to land where Euler steps do in one.

  Args:
    predict: the teacher's.
    start: samples at `times[0]`.
    times: descending levels of each example's steps.
  """
  x, last = denoise('euler', predict, start, times)
  landing = towards(x, last.video, times[-2], times[-1])
  return Answer(
    video=aim(start, landing, times[0], times[-1]),
    dynamic=jax.nn.sigmoid(last.dynamic),
    sky=jax.nn.sigmoid(last.sky),
    depth_known=jnp.ones(last.sky.shape, bool),
    masks_known=jnp.ones((start.shape[0], 2), bool),
  )
