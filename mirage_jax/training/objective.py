"""The training objective: write the past, read the target, match the flow."""

import dataclasses
from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
import optax

from mirage_jax.arrays import Array, Bool, Float, Int, Key
from mirage_jax.data.episodes import Episode
from mirage_jax.flow import LogitNormal, interpolate
from mirage_jax.flow.paths import MIN_LEVEL, expand
from mirage_jax.geometry.clips import Clip, join_frames
from mirage_jax.memory.contract import Readout
from mirage_jax.models import codec as video_lib
from mirage_jax.models.sampling import Predict, predictor
from mirage_jax.models.world_model import (
  Mirage,
  Prediction,
  Window,
  context_video,
  init_states,
  read_views,
  write_frames,
)

MASKS = ('dynamic', 'sky')
LOSSES = ('rgb', 'depth', *MASKS)

# Names of a source's mean loss, and of its share of the examples.
LOSS_ON, SHARE_OF = 'loss@', 'share@'


@flax.struct.dataclass
class Given:
  """What a generator is given beside the noisy target.

  Attributes:
    window: what it made of the frames before.
    readout: what its memory shows of the target; None without one.
    clip: where the examples are from: index of their clip in its source.
  """

  window: Window
  readout: Readout | None
  clip: Int[Array, 'b']


@flax.struct.dataclass
class Answer:
  """What a generator should have said of the target.

  Attributes:
    video: clean colour and inverse depth.
    dynamic: probability of "moves".
    sky: probability of "at infinity".
    depth_known: pixels whose inverse depth is known.
    masks_known: whether an example's `dynamic` and `sky` are.
  """

  video: Float[Array, 'b t h w 4']
  dynamic: Float[Array, 'b t h w']
  sky: Float[Array, 'b t h w']
  depth_known: Bool[Array, 'b t h w']
  masks_known: Bool[Array, 'b 2']


@dataclasses.dataclass(frozen=True)
class Objective:
  """Weights of the losses and the noise that training adds.

  Attributes:
    weights: by loss; names must be exactly `LOSSES`.
    levels: distribution of the targets' noise level.
    independent: share of examples with one level a frame (diffusion forcing,
      arXiv 2407.01392); the others have one level a chunk.
    context_noise: largest level of noise on the window (half of the examples
      have none).
    history_noise: largest standard deviation of noise on written colours, in
      [-1, 1] units.
    memory_dropout: share of the examples that are shown an empty memory. What
      a memory knows teaches the generator nothing of places that it does not.
    own_prediction: share of the examples in which, where the memory is
      confident, the noise lies on what the model predicts of noise alone
      instead of on the truth. A sampler arrives at such samples: that memory
      is to be trusted must be learned where nothing else tells the truth.
    sources: of a mixture, by turns: that of clip i is `i % len(sources)`. The
      loss on each is reported beside that on all.

  Raises:
    ValueError: if the names of the weights are not the names of the losses,
      or a share is not within 0 and 1.
  """

  weights: dict[str, float]
  levels: LogitNormal = dataclasses.field(default_factory=LogitNormal)
  independent: float = 0.25
  context_noise: float = 0.3
  history_noise: float = 0.05
  memory_dropout: float = 0.0
  own_prediction: float = 0.0
  sources: tuple[str, ...] = ()

  def __post_init__(self):
    if set(self.weights) != set(LOSSES):
      raise ValueError(
        f'objective.weights has {sorted(self.weights)}; expected exactly '
        f'{sorted(LOSSES)}'
      )
    for name in ('independent', 'memory_dropout', 'own_prediction'):
      if not 0 <= getattr(self, name) <= 1:
        raise ValueError(
          f'objective.{name} is {getattr(self, name)}, no share of the '
          'examples; expected 0 to 1'
        )

  def __call__(
    self, model: Mirage, params: Any, episode: Episode, key: Key[Array, '']
  ) -> tuple[Float[Array, ''], dict[str, Float[Array, '']]]:
    """Mean loss of a batch, and its parts.

    Args:
      model: the world model.
      params: its variables.
      episode: `[b, ...]` history to write, window, and frames to generate.
      key: of all noise.

    Returns:
      The weighted sum, and each part unweighted beside it.
    """
    keys = jax.random.split(key, 5)
    given = self.condition(model, params, episode, key)
    target = episode.target
    clean = video_lib.encode_clip(target)
    levels = self._target_levels(keys[1], (clean.shape[0], clean.shape[1]))
    noise = jax.random.normal(keys[2], clean.shape)
    predict = predictor(
      model, params, target.cameras, given.window, given.readout
    )
    hidden = self._hidden(predict, clean, noise, given.readout, key)
    noisy = interpolate(hidden, noise, levels)
    prediction = model.apply(
      params, noisy, levels, target.cameras, given.window, given.readout
    )
    answer = Answer(
      video=clean,
      **{name: getattr(target, name).astype(jnp.float32) for name in MASKS},
      depth_known=video_lib.depth_known(target),
      masks_known=episode.known,
    )
    return self.score(prediction, answer, levels, given)

  def condition(
    self, model: Mirage, params: Any, episode: Episode, key: Key[Array, '']
  ) -> Given:
    """Writes the past and reads and watches what is given of the target.

    Args:
      model: the world model.
      params: its variables.
      episode: as in `__call__`; of the target only the cameras matter, but to
        a memory that foresees.
      key: of the noise on what is given; the same for any model.
    """
    noise, _, _, window_noise, hiding = jax.random.split(key, 5)
    target, context = episode.target, episode.context
    # The window is in the memory too, as it is in a rollout.
    history = join_frames(episode.history, context)
    if model.memory is not None and model.memory.needs_future:
      history = join_frames(history, target)
    history = self._noisy_history(noise, history)
    states = init_states(model, history.world_from_camera[:, 0])
    states = write_frames(model, params, states, history, False)
    h, w = target.depth_m.shape[-2:]
    readout = read_views(model, params, states, target.cameras, h, w)
    if readout is not None:
      drawn = jax.random.uniform(hiding, target.rgb.shape[:1])
      shown = (drawn >= self.memory_dropout).astype(jnp.float32)
      readout = readout.hidden(shown)
    frames, levels = self._noisy_context(window_noise, context)
    window = model.apply(
      params, frames, levels, context.cameras, readout, method='watch'
    )
    return Given(window, readout, episode.key[:, 0])

  def score(
    self,
    prediction: Prediction,
    answer: Answer,
    levels: Float[Array, 'b t'],
    given: Given,
  ) -> tuple[Float[Array, ''], dict[str, Float[Array, '']]]:
    """The weighted sum of the losses, and each part unweighted beside it."""
    each = _losses(prediction, answer, levels)
    parts = {name: value.mean() for name, value in each.items()}
    weighted = [self.weights[name] * parts[name] for name in LOSSES]
    loss = jnp.stack(weighted).sum()
    parts |= self._by_source(each, given.clip)
    if given.readout is not None:
      parts['memory_opacity'] = given.readout.opacity.mean()
      parts['memory_gate'] = prediction.gate.mean()
    return loss, parts

  def _by_source(
    self, each: dict[str, Float[Array, 'b']], clip: Int[Array, 'b']
  ) -> dict[str, Float[Array, '']]:
    """The sum of a mixture's losses by source, and its share, of the batch."""
    names = dict.fromkeys(self.sources)
    if len(names) < 2:
      return {}
    loss = sum(self.weights[name] * each[name] for name in LOSSES)
    parts = {}
    for name in names:
      turns = jnp.array([source == name for source in self.sources])
      mine = turns[clip % len(self.sources)].astype(jnp.float32)
      parts[f'{LOSS_ON}{name}'] = (loss * mine).mean()
      parts[f'{SHARE_OF}{name}'] = mine.mean()
    return parts

  def _hidden(
    self,
    predict: Predict,
    clean: Float[Array, 'b t h w 4'],
    noise: Float[Array, 'b t h w 4'],
    readout: Readout | None,
    key: Key[Array, ''],
  ) -> Float[Array, 'b t h w 4']:
    """What the noise lies on: the truth, or `own_prediction` of it."""
    if not self.own_prediction or readout is None:
      return clean
    ahead = jax.lax.stop_gradient(predict(noise, jnp.float32(1.0)).video)
    # A key of its own: the other draws are what they are without.
    drawn = jax.random.uniform(jax.random.fold_in(key, 5), clean.shape[:1])
    own = expand(drawn < self.own_prediction, readout.confidence)
    own &= readout.confidence > 0.5
    return jnp.where(own[..., None], ahead, clean)

  def _target_levels(
    self, key: Key[Array, ''], shape: tuple[int, int]
  ) -> Float[Array, 'b t']:
    each, shared, choice = jax.random.split(key, 3)
    chunk = self.levels.sample(shared, (shape[0], 1))
    apart = jax.random.uniform(choice, (shape[0], 1)) < self.independent
    return jnp.where(apart, self.levels.sample(each, shape), chunk)

  def _noisy_context(
    self, key: Key[Array, ''], context: Clip
  ) -> tuple[Float[Array, 'b c h w 5'], Float[Array, 'b c']]:
    noise_key, level_key = jax.random.split(key)
    window = context_video(context)
    b, c = window.shape[:2]
    levels = jax.random.uniform(
      level_key, (b, 1), minval=-self.context_noise, maxval=self.context_noise
    )
    levels = jnp.broadcast_to(jnp.maximum(levels, 0.0), (b, c))
    video = window[..., :-1]
    noise = jax.random.normal(noise_key, video.shape)
    video = interpolate(video, noise, levels)
    return jnp.concatenate([video, window[..., -1:]], axis=-1), levels

  def _noisy_history(self, key: Key[Array, ''], history: Clip) -> Clip:
    noise_key, scale_key = jax.random.split(key)
    b = history.rgb.shape[0]
    scale = self.history_noise * jax.random.uniform(
      scale_key, (b, 1, 1, 1, 1), minval=-1.0
    )
    noise = jax.random.normal(noise_key, history.rgb.shape)
    rgb = video_lib.encode_colour(history.rgb)
    rgb = rgb + jnp.maximum(scale, 0.0) * noise
    return dataclasses.replace(history, rgb=video_lib.decode_colour(rgb))


def _losses(
  prediction: Prediction, answer: Answer, levels: Float[Array, 'b t']
) -> dict[str, Float[Array, 'b']]:
  """Every loss of `LOSSES` an example; a mask that is unknown costs nothing.

  The squared error of the clean sample over `t^2` is that of the velocity
  (arXiv 2511.13720, table 1).
  """
  scale = 1.0 / jnp.maximum(levels, MIN_LEVEL) ** 2
  error = (prediction.video - answer.video) ** 2 * scale[..., None, None, None]
  known = answer.depth_known.astype(jnp.float32)
  pixels = (1, 2, 3)
  depth = (error[..., 3] * known).sum(pixels)
  parts = {
    'rgb': error[..., :3].mean((1, 2, 3, 4)),
    'depth': depth / jnp.maximum(known.sum(pixels), 1.0),
  }
  for i, name in enumerate(MASKS):
    logit, mask = getattr(prediction, name), getattr(answer, name)
    cost = optax.sigmoid_binary_cross_entropy(logit, mask)
    parts[name] = cost.mean(pixels) * answer.masks_known[:, i]
  return parts
