"""Steps of several worlds as one batch."""

from collections.abc import Sequence

from mirage_jax.geometry.cameras import Cameras
from mirage_jax.geometry.clips import Clip
from mirage_jax.models.rollout import CompiledModel, step_sessions
from mirage_jax.world.place import World
from mirage_jax.world.views import several


def step_many(
  worlds: Sequence[World], cameras: Sequence[Cameras], remember: bool = True
) -> list[Clip]:
  """Steps several worlds of one model as one batch.

  Args:
    worlds: with the same model and sampler steps.
    cameras: of each world: one, or as many `[t]` as of the others.
    remember: whether the frames enter the memories.

  Returns:
    The frames `[t]` of each world.

  Raises:
    ValueError: no worlds, worlds of different models, an empty world, or
      different numbers of cameras.
  """
  cameras = [several(each) for each in cameras]
  compiled = _shared(worlds, cameras)
  count = len(cameras[0].intrinsics)
  before = [world._before_step(count) for world in worlds]
  sessions, keys, times = zip(*before, strict=True)
  made, after = step_sessions(
    compiled, sessions, keys, cameras, times, remember
  )
  for world, session, views in zip(worlds, after, cameras, strict=True):
    world._after_step(session, views)
  return made


def _shared(
  worlds: Sequence[World], cameras: Sequence[Cameras]
) -> CompiledModel:
  """Gives the compiled model that all worlds share.

  Raises:
    ValueError: see `step_many`.
  """
  if not worlds or len(set(worlds)) < len(worlds):
    raise ValueError(f'{len(worlds)} worlds; expected one or more, each once')
  if len(worlds) != len(cameras):
    raise ValueError(
      f'cameras of {len(cameras)} for {len(worlds)} worlds; give each its own'
    )
  if len({id(world._compiled) for world in worlds}) > 1:
    raise ValueError(
      'worlds of different models or sampler steps; step each group apart'
    )
  counts = {len(each.intrinsics) for each in cameras}
  if len(counts) > 1:
    raise ValueError(
      f'{sorted(counts)} cameras; give each world the same number'
    )
  return worlds[0]._compiled
