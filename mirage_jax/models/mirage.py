"""The world model: a video transformer that reads and writes a memory."""

from collections.abc import Mapping
from typing import Any

import flax.linen as nn
import flax.struct
import jax
import jax.numpy as jnp

from mirage_jax.arrays import Array, Bool, Float, Key
from mirage_jax.geometry.cameras import Cameras, pluecker, relative_to
from mirage_jax.geometry.clips import Clip, join_frames
from mirage_jax.memory.contract import Memory, Readout
from mirage_jax.models import video as video_lib
from mirage_jax.models.video import CHANNELS
from mirage_jax.models.video_transformer import VideoTransformer
from mirage_jax.nn.embeddings import patchify, unpatchify

RAY_CELLS = 2  # Pluecker rays along a side of a token
FEATURE_CELLS = 4  # cells of pooled memory features along a side of a token


@flax.struct.dataclass
class Prediction:
  """What the generator says of the target frames.

  Attributes:
    video: `[b, t, h, w, 4]` clean colour and bounded inverse depth.
    dynamic: `[b, t, h, w]` logit of "moves".
    sky: `[b, t, h, w]` logit of "at infinity".
    gate: `[b, t, h, w]` share of the memory's guess in `video`.
  """

  video: Float[Array, 'b t h w 4']
  dynamic: Float[Array, 'b t h w']
  sky: Float[Array, 'b t h w']
  gate: Float[Array, 'b t h w']


class Mirage(nn.Module):
  """Generator and memory; every method is pure, states are arguments.

  Attributes:
    transformer: settings of `VideoTransformer`.
    memory: a memory (static settings), or None for a window model.
    patch: pixels along a side of a token.
    learned_features: features of a point beside its colour.
    alone: every frame attends to itself only: no window, frame by frame.
  """

  transformer: Mapping[str, Any]
  memory: Memory | None = None
  patch: int = 8
  learned_features: int = 8
  alone: bool = False

  def setup(self):
    """Makes the layers; a window model has none for the memory."""
    width = self.transformer['width']
    self.trunk = VideoTransformer(**self.transformer)
    self.pixels_in = nn.Dense(width)
    self.rays_in = nn.Dense(width)
    self.head = nn.Dense(
      self.patch**2 * (CHANNELS + 3), kernel_init=nn.initializers.zeros
    )
    if self.memory is not None:
      self.readout_in = nn.Dense(width, kernel_init=nn.initializers.zeros)
      self.guess_bias = self.param(
        'guess_bias', nn.initializers.constant(2.0), ()
      )
      self.encoder_hidden = nn.Dense(32)
      self.encoder_out = nn.Dense(self.learned_features)
      self.memory_layers = self.memory.layers()
      if self.memory_layers is not None:
        self.cells_in = nn.Dense(width, kernel_init=nn.initializers.zeros)

  def encode(self, rgb: Float[Array, 't h w 3']) -> Float[Array, 't h w f']:
    """Features to be written: colour, then learned ones a sub-cell."""
    cell = self.patch // FEATURE_CELLS
    h, w = rgb.shape[1:3]
    x = jax.nn.gelu(self.encoder_hidden(patchify(rgb, cell)))
    x = jnp.tanh(self.encoder_out(x))
    x = x.reshape(-1, h // cell, w // cell, self.learned_features)
    x = jnp.repeat(jnp.repeat(x, cell, axis=1), cell, axis=2)
    return jnp.concatenate([rgb, x], axis=-1)

  def write(self, state: Any, clip: Clip, generated: bool = False) -> Any:
    """One scene's memory after writing the frames `[t]` of `clip`."""
    assert self.memory is not None
    observation = self.memory.observe(
      state,
      clip.cameras,
      clip.depth_m,
      self.encode(video_lib.encode_colour(clip.rgb)),
      video_lib.static_weight(clip),
      generated=generated,
    )
    return self.memory.write(state, observation, **self._learned())

  def read(
    self, state: Any, cameras: Cameras, height: int, width: int
  ) -> Readout:
    """What one scene's memory shows to the cameras `[t]`."""
    assert self.memory is not None
    return self.memory.read(state, cameras, height, width, **self._learned())

  def _learned(self) -> dict[str, nn.Module]:
    """What a memory that learns takes beside the rest."""
    layers = self.memory_layers
    return {} if layers is None else {'layers': layers}

  def __call__(
    self,
    noisy: Float[Array, 'b t h w 4'],
    levels: Float[Array, 'b t'],
    context: Float[Array, 'b c h w 5'],
    context_levels: Float[Array, 'b c'],
    cameras: Cameras,
    readout: Readout | None = None,
  ) -> Prediction:
    """Predicts the clean target frames.

    Args:
      noisy: target frames at their noise levels.
      levels: noise level of every target frame.
      context: the window: colour, inverse depth, and 1 where depth is known.
      context_levels: noise level of every frame of the window.
      cameras: of the window and then of the target, `[b, c + t]`.
      readout: the memory's view of the target frames, `[b, t, h, w, ...]`.
        Frames that it recalls stand before the window.

    Returns:
      The prediction for the target frames.
    """
    if readout is not None and readout.recalled is not None:
      past = readout.recalled
      context = join_frames(video_lib.encode_recalled(past), context)
      clean = jnp.zeros(past.present.shape)
      context_levels = join_frames(clean, context_levels)
      cameras = join_frames(past.cameras, cameras)
    c, (t, h, w) = context.shape[1], noisy.shape[1:4]
    tokens = self._embed(noisy, context, cameras)
    if readout is not None:
      shown = self.readout_in(self._readout_tokens(readout))
      if readout.cells is not None:
        side = readout.cells.shape[-3] * self.patch // h
        shown = shown + self.cells_in(patchify(readout.cells, side))
      tokens = jnp.asarray(tokens).at[:, c:].add(shown)
    all_levels = jnp.concatenate([context_levels, levels], axis=1)
    out = self.trunk(tokens, all_levels, self._sees(c, t), w // self.patch)[
      :, c:
    ]
    out = unpatchify(self.head(out), self.patch, h, w).astype(jnp.float32)
    video, dynamic, sky, bias = (
      out[..., :CHANNELS],
      out[..., CHANNELS],
      out[..., CHANNELS + 1],
      out[..., CHANNELS + 2],
    )
    gate = jnp.zeros_like(bias)
    if readout is not None:
      gate = readout.confidence * jax.nn.sigmoid(self.guess_bias + bias)
      guess = jnp.concatenate(
        [readout.rgb, video_lib.encode_depth(readout.depth_m)[..., None]], -1
      )
      video = (1 - gate[..., None]) * video + gate[..., None] * guess
    return Prediction(video, dynamic, sky, gate)

  def _sees(self, context: int, target: int) -> Bool[Array, 'ct ct']:
    """Which frame attends to which: causal over the window and the target."""
    if self.alone:
      return jnp.eye(context + target, dtype=bool)
    later = jnp.arange(context + target) >= context
    return later[:, None] >= later[None, :]

  def _embed(
    self,
    noisy: Float[Array, 'b t h w 4'],
    context: Float[Array, 'b c h w 5'],
    cameras: Cameras,
  ) -> Float[Array, 'b ct n d']:
    """Pixels and rays as tokens; rays relative to the window's last frame."""
    h, w = noisy.shape[2:4]
    known = jnp.ones_like(noisy[..., :1])
    pixels = jnp.concatenate(
      [context, jnp.concatenate([noisy, known], axis=-1)], axis=1
    )
    anchor = cameras.world_from_camera[:, context.shape[1] - 1, None]
    side = self.patch // RAY_CELLS
    rays = pluecker(relative_to(cameras, anchor), h // side, w // side)
    return self.pixels_in(patchify(pixels, self.patch)) + self.rays_in(
      patchify(rays, RAY_CELLS)
    )

  def _readout_tokens(self, readout: Readout) -> Float[Array, 'b t n p']:
    """Colour, inverse depth, opacity, confidence a pixel; pooled features."""
    opacity = readout.opacity[..., None]
    depth = video_lib.encode_depth(readout.depth_m)[..., None]
    pixels = jnp.concatenate(
      [
        readout.rgb * opacity,
        depth * opacity,
        opacity,
        readout.confidence[..., None],
      ],
      axis=-1,
    )
    features = readout.features[..., 3:] * opacity
    *batch, h, w, f = features.shape
    cell = self.patch // FEATURE_CELLS
    features = features.reshape(*batch, h // cell, cell, w // cell, cell, f)
    features = features.mean((-4, -2))
    return jnp.concatenate(
      [patchify(pixels, self.patch), patchify(features, FEATURE_CELLS)], -1
    )


def init_states(model: Mirage, frame: Float[Array, 'b 4 4']) -> Any | None:
  """Empty memories in the given scene frames; None without a memory."""
  return None if model.memory is None else jax.vmap(model.memory.init)(frame)


def write_frames(
  model: Mirage, params: Any, states: Any, clip: Clip, generated: bool
) -> Any:
  """Writes the frames of `clip` `[b, t]` into the memories of b scenes."""
  if states is None:
    return None

  def write(state, clip):
    return model.apply(params, state, clip, generated, method='write')

  return jax.vmap(write)(states, video_lib.fill_masks(clip))


def make_room(model: Mirage, states: Any, points: int) -> Any:
  """Thins out those of b memories that could not hold so many points more."""
  if model.memory is None or states is None:
    return states
  memory, count = model.memory, len(states.frame)
  each = [jax.tree.map(lambda x, i=i: x[i], states) for i in range(count)]
  roomy = [memory.make_room(state, points) for state in each]
  if all(new is old for new, old in zip(roomy, each, strict=True)):
    return states
  return jax.tree.map(lambda *x: jnp.stack(x), *roomy)


def read_views(
  model: Mirage,
  params: Any,
  states: Any,
  cameras: Cameras,
  height: int,
  width: int,
) -> Readout | None:
  """Reads the views `[b, t]` from the memories of b scenes."""
  if states is None:
    return None

  def read(state, cameras):
    return model.apply(params, state, cameras, height, width, method='read')

  return jax.vmap(read)(states, cameras)


def context_video(clip: Clip) -> Float[Array, 'b c h w 5']:
  """The window as the generator's input: video and where depth is known."""
  known = video_lib.depth_known(clip).astype(jnp.float32)
  return jnp.concatenate(
    [video_lib.encode_clip(clip), known[..., None]], axis=-1
  )


def init_params(
  model: Mirage, key: Key[Array, ''], height: int, width: int
) -> Any:
  """Parameters of the model, float32; shapes do not depend on batch or t."""
  cameras = Cameras(
    jnp.ones((1, 2, 4)), jnp.broadcast_to(jnp.eye(4), (1, 2, 4, 4))
  )
  clip = Clip(
    rgb=jnp.zeros((1, 1, height, width, 3), jnp.uint8),
    depth_m=jnp.ones((1, 1, height, width)),
    intrinsics=cameras.intrinsics[:, :1],
    world_from_camera=cameras.world_from_camera[:, :1],
    time_s=jnp.zeros((1, 1)),
  )

  def everything(module: Mirage):
    readout = None
    if module.memory is not None:
      state = module.memory.init(jnp.eye(4))
      one = jax.tree.map(lambda x: x[0], video_lib.fill_masks(clip))
      state = module.write(state, one)
      readout = module.read(state, one.cameras, height, width)
      readout = jax.tree.map(lambda x: x[None], readout)
    level = jnp.zeros((1, 1))
    noisy = video_lib.encode_clip(clip)
    return module(noisy, level, context_video(clip), level, cameras, readout)

  return jax.jit(lambda key: model.init(key, method=everything))(key)
