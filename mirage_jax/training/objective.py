"""The training objective: write the past, read the target, match the flow."""

import dataclasses
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from mirage_jax.arrays import Array, Float, Int, Key
from mirage_jax.data.episodes import Episode
from mirage_jax.flow import LogitNormal, interpolate
from mirage_jax.flow.paths import expand
from mirage_jax.geometry.clips import Clip, join_frames
from mirage_jax.models.codec import (
  Codec,
  CodedFrames,
  CodedReadout,
  decode_colour,
  encode_colour,
)
from mirage_jax.models.conditioning import Conditioning
from mirage_jax.models.sampling import Predict, predictor
from mirage_jax.models.scenes import (
  init_states,
  needs_future,
  read_views,
  write_frames,
)
from mirage_jax.models.world_model import Prediction, WorldModel
from mirage_jax.training.losses import (
  LOSSES,
  MASKS,
  Targets,
  compute_losses,
)

CONFIDENT = 0.5  # readouts above it replace the truth under the noise

# Names of a source's mean loss, and of its share of the examples.
LOSS_ON, SHARE_OF = 'loss@', 'share@'


class Keys(NamedTuple):
  """Random keys of one batch, by use; see `split_key`.

  Attributes:
    history: noise on written colours.
    levels: noise levels of the targets.
    noise: noise on the targets.
    context: noise on the context.
    dropout: the examples without a memory.
    own: the examples with own predictions.
  """

  history: Key[Array, '']
  levels: Key[Array, '']
  noise: Key[Array, '']
  context: Key[Array, '']
  dropout: Key[Array, '']
  own: Key[Array, '']


def split_key(key: Key[Array, '']) -> Keys:
  """Splits the key of a batch into all that the objective draws from."""
  history, levels, noise, context, dropout = jax.random.split(key, 5)
  # Folded in, so that own predictions change no other draw.
  own = jax.random.fold_in(key, 5)
  return Keys(history, levels, noise, context, dropout, own)


@dataclasses.dataclass(frozen=True)
class Objective:
  """Weights of the losses and the noise that training adds.

  Attributes:
    weights: by loss; names must be exactly `LOSSES`.
    levels: distribution of the targets' noise level.
    independent: share of examples with one level a frame (diffusion forcing,
      arXiv 2407.01392); the others have one level a chunk.
    context_noise: largest level of noise on the context (half of the examples
      have none).
    history_noise: largest standard deviation of noise on written colours, in
      [-1, 1] units.
    memory_dropout: share of the examples with an empty memory, from which
      the generator learns new places.
    own_prediction: share of the examples in which, where the memory is
      confident, the noise lies on the prediction from pure noise instead of
      on the truth. A sampler arrives at such samples, and only the memory
      then holds the truth.
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
    self,
    model: WorldModel,
    params: Any,
    episode: Episode,
    key: Key[Array, ''],
  ) -> tuple[Float[Array, ''], dict[str, Float[Array, '']]]:
    """Computes the mean loss of a batch, and its parts.

    Args:
      model: the world model.
      params: its variables.
      episode: `[b, ...]` history to write, context, and target.
      key: of all noise.

    Returns:
      The weighted sum, and each part unweighted beside it.
    """
    keys = split_key(key)
    conditioning = self.condition(model, params, episode, keys)
    target, encoded = episode.target, model.codec.encode(episode.target)
    clean = encoded.values
    levels = self._target_levels(keys.levels, (clean.shape[0], clean.shape[1]))
    noise = jax.random.normal(keys.noise, clean.shape)
    predict = predictor(model, params, conditioning)
    to_corrupt = self._clean_to_corrupt(
      predict, clean, noise, conditioning.readout, keys.own
    )
    noisy = interpolate(to_corrupt, noise, levels)
    prediction = model.apply(
      params, noisy, levels, conditioning, method='denoise'
    )
    targets = Targets(
      clean=clean,
      known=encoded.known,
      **{name: getattr(target, name).astype(jnp.float32) for name in MASKS},
      masks_known=episode.known,
    )
    return self.score(
      model.codec, prediction, targets, levels, conditioning, episode.key[:, 0]
    )

  def condition(
    self, model: WorldModel, params: Any, episode: Episode, keys: Keys
  ) -> Conditioning:
    """Writes the past, reads the views of the target, encodes the context.

    Args:
      model: the world model.
      params: its variables.
      episode: as in `__call__`; of the target only the cameras matter, but to
        a memory that needs the future.
      keys: of the noise on the inputs; the same for any model.
    """
    target, context = episode.target, episode.context
    # The context is in the memory too, as it is in a rollout.
    history = join_frames(episode.history, context)
    if needs_future(model):
      history = join_frames(history, target)
    history = self._noisy_history(keys.history, history)
    states = init_states(model, history.world_from_camera[:, 0])
    states = write_frames(model, params, states, history, False)
    h, w = target.depth_m.shape[-2:]
    readout = read_views(model, params, states, target.cameras, h, w)
    if readout is not None:
      drawn = jax.random.uniform(keys.dropout, target.rgb.shape[:1])
      shown = (drawn >= self.memory_dropout).astype(jnp.float32)
      readout = readout.hidden(shown)
    frames, levels = self._noisy_context(
      keys.context, model.codec.encode(context)
    )
    return model.apply(
      params,
      frames,
      levels,
      context.cameras,
      target.cameras,
      readout,
      target.action,
      method='condition',
    )

  def score(
    self,
    codec: Codec,
    prediction: Prediction,
    targets: Targets,
    levels: Float[Array, 'b t'],
    conditioning: Conditioning,
    clip: Int[Array, 'b'],
  ) -> tuple[Float[Array, ''], dict[str, Float[Array, '']]]:
    """Weighs and adds the losses.

    Args:
      codec: of the values.
      prediction: of the model.
      targets: of the prediction.
      levels: noise level of every frame.
      conditioning: of the prediction.
      clip: index of each example's clip in its source.

    Returns:
      The weighted sum, and each part unweighted beside it.
    """
    each = compute_losses(codec, prediction, targets, levels)
    parts = {name: value.mean() for name, value in each.items()}
    weighted = [self.weights[name] * parts[name] for name in LOSSES]
    loss = jnp.stack(weighted).sum()
    parts |= self._by_source(each, clip)
    if conditioning.readout is not None:
      parts['memory_opacity'] = conditioning.readout.opacity.mean()
      parts['memory_gate'] = prediction.gate.mean()
    return loss, parts

  def _by_source(
    self, each: dict[str, Float[Array, 'b']], clip: Int[Array, 'b']
  ) -> dict[str, Float[Array, '']]:
    """Averages the loss of each source of a mixture; counts its share."""
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

  def _clean_to_corrupt(
    self,
    predict: Predict,
    clean: Float[Array, 'b t y x c'],
    noise: Float[Array, 'b t y x c'],
    readout: CodedReadout | None,
    key: Key[Array, ''],
  ) -> Float[Array, 'b t y x c']:
    """Chooses the values under the noise: true ones, or own predictions."""
    if not self.own_prediction or readout is None:
      return clean
    ahead = jax.lax.stop_gradient(predict(noise, jnp.float32(1.0)).clean)
    drawn = jax.random.uniform(key, clean.shape[:1])
    own = expand(drawn < self.own_prediction, readout.confidence)
    own &= readout.confidence > CONFIDENT
    return jnp.where(own[..., None], ahead, clean)

  def _target_levels(
    self, key: Key[Array, ''], shape: tuple[int, int]
  ) -> Float[Array, 'b t']:
    each, shared, choice = jax.random.split(key, 3)
    chunk = self.levels.sample(shared, (shape[0], 1))
    apart = jax.random.uniform(choice, (shape[0], 1)) < self.independent
    return jnp.where(apart, self.levels.sample(each, shape), chunk)

  def _noisy_context(
    self, key: Key[Array, ''], context: CodedFrames
  ) -> tuple[CodedFrames, Float[Array, 'b c']]:
    noise_key, level_key = jax.random.split(key)
    b, c = context.values.shape[:2]
    levels = jax.random.uniform(
      level_key, (b, 1), minval=-self.context_noise, maxval=self.context_noise
    )
    levels = jnp.broadcast_to(jnp.maximum(levels, 0.0), (b, c))
    noise = jax.random.normal(noise_key, context.values.shape)
    values = interpolate(context.values, noise, levels)
    return CodedFrames(values, context.known), levels

  def _noisy_history(self, key: Key[Array, ''], history: Clip) -> Clip:
    noise_key, scale_key = jax.random.split(key)
    b = history.rgb.shape[0]
    scale = self.history_noise * jax.random.uniform(
      scale_key, (b, 1, 1, 1, 1), minval=-1.0
    )
    noise = jax.random.normal(noise_key, history.rgb.shape)
    rgb = encode_colour(history.rgb)
    rgb = rgb + jnp.maximum(scale, 0.0) * noise
    return dataclasses.replace(history, rgb=decode_colour(rgb))
