"""A second codec and a second generator fit where the first ones are."""

import dataclasses
from typing import ClassVar

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax

from mirage_jax.flow import Sampler
from mirage_jax.models import rollout
from mirage_jax.models.codec import CodedFrames, CodedReadout, PixelCodec
from mirage_jax.models.conditioning import EncodedContext
from mirage_jax.models.generator import Estimate
from mirage_jax.models.world_model import WorldModel, init_params
from mirage_jax.nn.embeddings import patchify, unpatchify
from mirage_jax.training.state import create_state
from mirage_jax.training.step import make_train_step
from tests.training.objective_test import MODEL, OBJECTIVE, SIZE
from tests.training.objective_test import episode as episode

PIXELS = PixelCodec()


def down(image):
  """Moves squares of 2 x 2 pixels into channels."""
  *batch, h, w, _ = image.shape
  return patchify(image, 2).reshape(*batch, h // 2, w // 2, -1)


def up(image):
  """Inverts `down`."""
  *batch, y, x, c = image.shape
  return unpatchify(image.reshape(*batch, y * x, c), 2, 2 * y, 2 * x)


def mean(image):
  """Averages squares of 2 x 2 pixels."""
  return down(image[..., None]).mean(-1)


@dataclasses.dataclass(frozen=True)
class HalfCodec:
  """Values at half the resolution, without loss."""

  channels: ClassVar[int] = 4 * PixelCodec.channels
  masks: ClassVar[int] = 4 * PixelCodec.masks

  def grid(self, height, width):
    return height // 2, width // 2

  def _halve(self, frames):
    known = mean(frames.known[..., 0])[..., None]
    return CodedFrames(down(frames.values), known)

  def encode(self, clip):
    return self._halve(PIXELS.encode(clip))

  def encode_retrieved(self, retrieved):
    return self._halve(PIXELS.encode_retrieved(retrieved))

  def encode_readout(self, readout):
    coded = PIXELS.encode_readout(readout)
    return CodedReadout(
      values=down(coded.values),
      opacity=mean(coded.opacity),
      confidence=mean(coded.confidence),
      features=down(coded.features),
    )

  def mask_logits(self, masks):
    return PIXELS.mask_logits(up(masks))

  def decode(self, values, dynamic_logit, sky_logit):
    return PIXELS.decode(up(values), dynamic_logit, sky_logit)

  def losses(self, error, known):
    known = jnp.repeat(known, PixelCodec.masks * 2, axis=-1)
    return PIXELS.losses(up(error), up(known))


class ConvGenerator(nn.Module):
  """Convolutions over single frames; the last context frame is an input."""

  channels: int
  masks: int

  def setup(self):
    self.hidden = nn.Conv(16, (3, 3))
    self.readout_in = nn.Conv(16, (1, 1))
    self.out = nn.Conv(self.channels + self.masks + 1, (3, 3))

  def encode_context(self, frames, levels, cameras):
    return EncodedContext(cameras.world_from_camera[:, -1])

  def denoise(self, noisy, levels, conditioning):
    level = jnp.broadcast_to(
      levels[..., None, None, None], (*noisy.shape[:-1], 1)
    )
    x = self.hidden(jnp.concatenate([noisy, level], axis=-1))
    if conditioning.readout is not None:
      x = x + self.readout_in(conditioning.readout.values)
    out = self.out(nn.gelu(x))
    last = self.channels + self.masks
    return Estimate(
      out[..., : self.channels], out[..., self.channels : last], out[..., last]
    )


def make_model(memory) -> WorldModel:
  codec = HalfCodec()
  generator = ConvGenerator(codec.channels, codec.masks)
  return WorldModel(memory, generator, codec, learned_features=4)


def test_the_second_codec_has_no_loss(episode):
  codec, clip = HalfCodec(), episode.target
  frames = codec.encode(clip)
  assert frames.values.shape == (2, 1, SIZE // 2, SIZE // 2, codec.channels)
  nothing = jnp.full(clip.depth_m.shape, -1.0)
  back = codec.decode(frames.values, nothing, nothing)
  made = back.to_clip(clip.cameras, clip.time_s)
  np.testing.assert_array_equal(made.rgb, clip.rgb)
  np.testing.assert_allclose(made.depth_m, clip.depth_m, rtol=1e-4)
  error = (frames.values - 1) ** 2
  ones = PIXELS.losses(
    (PIXELS.encode(clip).values - 1) ** 2, jnp.ones((2, 1, SIZE, SIZE, 1))
  )
  for name, value in codec.losses(error, frames.known).items():
    np.testing.assert_allclose(value, ones[name], rtol=1e-5)


def test_they_train_and_roll_out(episode):
  model = make_model(MODEL.memory)
  params = init_params(model, jax.random.key(0), SIZE, SIZE)
  update = optax.sgd(1e-2)

  def objective(params, episode, key):
    return OBJECTIVE(model, params, episode, key)

  step = make_train_step(objective, update, seed=0)
  state = create_state(params, update, False)
  before = jax.tree.map(np.asarray, params)
  state, metrics = step(state, episode)
  assert bool(metrics['finite']) and metrics['memory_gate'] > 0
  changed = jax.tree.map(lambda a, b: (a != b).any(), before, state.params)
  assert changed['params']['generator']['out']['kernel']
  compiled = rollout.CompiledModel(model, state.params, Sampler(steps=2), 1, 2)
  clip = episode.context
  session = compiled.observe(compiled.start(clip.world_from_camera[:, 0]), clip)
  made, readout, session = compiled.generate(
    session, jax.random.key(0), clip.cameras, clip.time_s + 1
  )
  session = compiled.write_generated(session, made)
  assert made.rgb.shape == (2, 1, SIZE, SIZE, 3)
  assert readout.opacity.shape == (2, 1, SIZE, SIZE)
  assert np.isfinite(made.depth_m).all()
