"""Memories of a batch of scenes: all calls of a world model into them."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from mirage_jax.arrays import Array, Float
from mirage_jax.geometry.cameras import Cameras
from mirage_jax.geometry.clips import Clip
from mirage_jax.memory.baselines import growing
from mirage_jax.memory.contract import Readout
from mirage_jax.models.codec import fill_masks
from mirage_jax.models.world_model import WorldModel
from mirage_jax.sharding import RULES


def init_states(model: WorldModel, frame: Float[Array, 'b 4 4']) -> Any | None:
  """Makes empty memories in the given scene frames; None without a memory."""
  return None if model.memory is None else jax.vmap(model.memory.init)(frame)


def needs_future(model: WorldModel) -> bool:
  """Tests whether the memory reads true frames before they are generated."""
  return model.memory is not None and model.memory.needs_future


def write_frames(
  model: WorldModel, params: Any, states: Any, clip: Clip, generated: bool
) -> Any:
  """Writes the frames of `clip` `[b, t]` into the memories of b scenes."""
  if states is None:
    return None

  def write(state: Any, clip: Clip) -> Any:
    return model.apply(params, state, clip, generated, method='write')

  return _each_scene(model, write)(states, fill_masks(clip))


def forget_frames(
  model: WorldModel, params: Any, states: Any, clip: Clip
) -> Any:
  """Removes true frames of `clip` `[b, t]` from the memories of b scenes."""
  if states is None:
    return None

  def forget(state: Any, clip: Clip) -> Any:
    return model.apply(params, state, clip, method='forget')

  return _each_scene(model, forget)(states, fill_masks(clip))


def merge_states(model: WorldModel, first: Any, second: Any) -> Any:
  """Adds the memories of b scenes to those of b others.

  Raises:
    ValueError: they have different axes, or the memory cannot merge.
  """
  if model.memory is None or first is None:
    return None
  pairs = zip(split_states(first), split_states(second), strict=True)
  return stack_states(model, [model.memory.merge(*pair) for pair in pairs])


def _each_scene(
  model: WorldModel, function: Callable[..., Any]
) -> Callable[..., Any]:
  """Maps a function of one scene over a batch, divided over the mesh."""
  mesh = jax.sharding.get_abstract_mesh()
  kernel = model.memory is not None and model.memory.uses_kernel
  axes = RULES['batch'] if kernel and not mesh.empty else None
  return jax.vmap(function, spmd_axis_name=axes)


def reserve(model: WorldModel, states: Any, pixels: int) -> Any:
  """Thins out those of b memories that could not hold so many pixels more.

  Memories that grow stay of one size: that of the fullest.
  """
  if model.memory is None or states is None:
    return states
  memory, each = model.memory, split_states(states)
  points = pixels // model.pixel_group**2
  roomy = [memory.reserve(state, points) for state in each]
  if all(new is old for new, old in zip(roomy, each, strict=True)):
    return states
  return stack_states(model, roomy)


def split_states(states: Any) -> list[Any]:
  """Splits the memories of b scenes."""
  count = len(states.frame)
  return [jax.tree.map(lambda x, i=i: x[i], states) for i in range(count)]


def stack_states(model: WorldModel, states: Sequence[Any]) -> Any:
  """Stacks the memories of scenes; growing ones get the size of the largest."""
  if model.memory is not None and model.memory.grows:
    states = growing.as_large(states)
  return jax.tree.map(lambda *x: jnp.stack(x), *states)


def read_views(
  model: WorldModel,
  params: Any,
  states: Any,
  cameras: Cameras,
  height: int,
  width: int,
) -> Readout | None:
  """Reads the views `[b, t]` from the memories of b scenes."""
  if states is None:
    return None

  def read(state: Any, cameras: Cameras) -> Readout:
    return model.apply(params, state, cameras, height, width, method='read')

  return _each_scene(model, read)(states, cameras)
