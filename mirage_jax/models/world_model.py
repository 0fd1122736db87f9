"""The world model: a video transformer that reads and writes a memory."""

from collections.abc import Callable, Mapping
from typing import Any

import flax.linen as nn
import flax.struct
import jax
import jax.numpy as jnp

from mirage_jax.arrays import Array, Float, Key
from mirage_jax.geometry.cameras import Cameras, pluecker, relative_to
from mirage_jax.geometry.clips import Clip, join_frames
from mirage_jax.memory import contract
from mirage_jax.memory.baselines import growing
from mirage_jax.memory.contract import Memory, Readout, Views
from mirage_jax.models import codec as video_lib
from mirage_jax.models import pixel_groups
from mirage_jax.models.codec import CHANNELS
from mirage_jax.models.video_transformer import VideoTransformer
from mirage_jax.nn.attention import KeysValues
from mirage_jax.nn.embeddings import patchify, unpatchify
from mirage_jax.sharding import RULES

RAY_CELLS = 2  # Pluecker rays along a side of a token
FEATURE_CELLS = 4  # cells of pooled memory features along a side of a token
HIDDEN = 32  # width of the encoder of what is written


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


@flax.struct.dataclass
class Window:
  """What the generator keeps of the frames before its target.

  It does not depend on the target: one serves all steps of a sampler.

  Attributes:
    anchor: `[b, 4, 4]` pose of the last frame, which rays are relative to.
    past: what the target attends to; None for a model of frames alone.
  """

  anchor: Float[Array, 'b 4 4']
  past: KeysValues | None = None


class Mirage(nn.Module):
  """Generator and memory; every method is pure, states are arguments.

  Attributes:
    transformer: settings of `VideoTransformer`.
    memory: a memory (static settings), or None for a window model.
    patch: pixels along a side of a token.
    cell: pixels along a side of what is written and read as one point: 1, or
      a divisor of a fourth of `patch`.
    learned_features: features of a point beside its pixels.
    alone: every frame attends to itself only: no window, frame by frame.
  """

  transformer: Mapping[str, Any]
  memory: Memory | None = None
  patch: int = 8
  cell: int = 1
  learned_features: int = 8
  alone: bool = False

  def setup(self):
    """Makes the layers; a window model has none for the memory."""
    if self.cell != 1 and self.patch // FEATURE_CELLS % self.cell:
      raise ValueError(
        f'cell is {self.cell} with patch {self.patch}; expected 1 or a divisor '
        f'of {self.patch // FEATURE_CELLS}'
      )
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
      self.encoder_hidden = nn.Dense(HIDDEN)
      self.encoder_out = nn.Dense(self.learned_features)
      self.memory_layers = self.memory.layers()
      if self.memory_layers is not None:
        self.cells_in = nn.Dense(width, kernel_init=nn.initializers.zeros)

  def encode(self, rgb: Float[Array, 't h w 3']) -> Float[Array, 't y x l']:
    """Learned features of the points of frames, a sub-cell of a token each."""
    side = self.patch // FEATURE_CELLS
    hidden = jax.nn.gelu(self.encoder_hidden(patchify(rgb, side)))
    found = jnp.tanh(self.encoder_out(hidden))
    t, h, w = rgb.shape[:3]
    found = found.reshape(t, h // side, w // side, self.learned_features)
    count = side // self.cell
    return jnp.repeat(jnp.repeat(found, count, axis=1), count, axis=2)

  def write(self, state: Any, clip: Clip, generated: bool = False) -> Any:
    """One scene's memory after writing the frames `[t]` of `clip`."""
    assert self.memory is not None
    learned = self.encode(video_lib.encode_colour(clip.rgb))
    observed = pixel_groups.fold(clip, learned, self.cell, generated)
    observation = self.memory.observe(state, observed)
    return self.memory.write(state, observation, **self._learned())

  def read(
    self, state: Any, cameras: Cameras, height: int, width: int
  ) -> Readout:
    """What one scene's memory shows to the cameras `[t]`."""
    assert self.memory is not None
    views = Views.still(cameras, height // self.cell, width // self.cell)
    readout = self.memory.read(state, views, **self._learned())
    return pixel_groups.unfold(readout, self.cell)

  def _learned(self) -> dict[str, nn.Module]:
    """What a memory that learns takes beside the rest."""
    return contract.learned(self.memory_layers)

  def watch(
    self,
    context: Float[Array, 'b c h w 5'],
    levels: Float[Array, 'b c'],
    cameras: Cameras,
    readout: Readout | None = None,
  ) -> Window:
    """Takes in the frames before the target.

    Args:
      context: colour, inverse depth, and 1 where depth is known.
      levels: noise level of every frame.
      cameras: of the frames.
      readout: the memory's view of the target. Frames that it recalls stand
        before these.
    """
    anchor = cameras.world_from_camera[:, -1]
    if self.alone:
      return Window(anchor)
    recalled = None if readout is None else readout.retrieved
    if recalled is not None:
      context = join_frames(video_lib.encode_recalled(recalled), context)
      levels = join_frames(jnp.zeros(recalled.present.shape), levels)
      cameras = join_frames(recalled.cameras, cameras)
    tokens = self._embed(context, cameras, anchor)
    columns = context.shape[3] // self.patch
    return Window(anchor, self.trunk(tokens, levels, columns)[1])

  def __call__(
    self,
    noisy: Float[Array, 'b t h w 4'],
    levels: Float[Array, 'b t'],
    cameras: Cameras,
    window: Window,
    readout: Readout | None = None,
  ) -> Prediction:
    """Predicts the clean target frames.

    Args:
      noisy: target frames at their noise levels.
      levels: noise level of every frame.
      cameras: of the frames.
      window: what was made of the frames before.
      readout: the memory's view of the target frames, `[b, t, h, w, ...]`.

    Returns:
      The prediction for the target frames.
    """
    b, t, h, w = noisy.shape[:4]
    known = jnp.ones_like(noisy[..., :1])
    tokens = self._embed(
      jnp.concatenate([noisy, known], axis=-1), cameras, window.anchor
    )
    if readout is not None:
      tokens = tokens + self.readout_in(self._readout_tokens(readout))
      if readout.tokens is not None:
        side = readout.tokens.shape[-3] * self.patch // h
        tokens = tokens + self.cells_in(patchify(readout.tokens, side))
    if self.alone:
      tokens = tokens.reshape(b * t, 1, *tokens.shape[2:])
      levels = levels.reshape(b * t, 1)
    out, _ = self.trunk(tokens, levels, w // self.patch, window.past)
    out = out.reshape(b, t, *out.shape[2:])
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

  def _embed(
    self,
    video: Float[Array, 'b t h w 5'],
    cameras: Cameras,
    anchor: Float[Array, 'b 4 4'],
  ) -> Float[Array, 'b t n d']:
    """Pixels and rays as tokens; rays relative to the anchor."""
    h, w = video.shape[2:4]
    side = self.patch // RAY_CELLS
    relative = relative_to(cameras, anchor[:, None])
    rays = pluecker(relative, h // side, w // side)
    return self.pixels_in(patchify(video, self.patch)) + self.rays_in(
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

  return _each_scene(model, write)(states, video_lib.fill_masks(clip))


def _each_scene(model: Mirage, function: Callable[..., Any]):
  """`function` of one scene over a batch; the mesh divides kernels by it."""
  mesh = jax.sharding.get_abstract_mesh()
  kernel = model.memory is not None and model.memory.uses_kernel
  axes = RULES['batch'] if kernel and not mesh.empty else None
  return jax.vmap(function, spmd_axis_name=axes)


def make_room(model: Mirage, states: Any, pixels: int) -> Any:
  """Thins out those of b memories that could not hold so many pixels more.

  Memories that grow stay of one size: that of the fullest.
  """
  if model.memory is None or states is None:
    return states
  memory, count = model.memory, len(states.frame)
  points = pixels // model.cell**2
  each = [jax.tree.map(lambda x, i=i: x[i], states) for i in range(count)]
  roomy = [memory.reserve(state, points) for state in each]
  if all(new is old for new, old in zip(roomy, each, strict=True)):
    return states
  if memory.grows:
    roomy = growing.as_large(roomy)
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

  return _each_scene(model, read)(states, cameras)


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
  clip = Clip(
    rgb=jnp.zeros((1, 1, height, width, 3), jnp.uint8),
    depth_m=jnp.ones((1, 1, height, width)),
    intrinsics=jnp.ones((1, 1, 4)),
    world_from_camera=jnp.eye(4)[None, None],
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
    window = module.watch(context_video(clip), level, clip.cameras, readout)
    noisy = video_lib.encode_clip(clip)
    return module(noisy, level, clip.cameras, window, readout)

  return jax.jit(lambda key: model.init(key, method=everything))(key)
