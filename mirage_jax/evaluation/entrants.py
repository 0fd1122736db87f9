"""Checkpoints as players of closed-loop episodes."""

import dataclasses
import pathlib
from collections.abc import Sequence
from typing import Any

import flax.linen as nn

from mirage_jax import build, trees
from mirage_jax.evaluation.rollouts import ModelPlayer
from mirage_jax.memory import storage
from mirage_jax.models.trained import TrainedModel
from mirage_jax.models.world_model import WorldModel


@dataclasses.dataclass(frozen=True)
class Entrant:
  """A checkpoint that plays.

  Attributes:
    trained: the model.
    player: the closed loop with its sampler.
  """

  trained: TrainedModel
  player: ModelPlayer

  @property
  def model(self) -> WorldModel:
    """The world model."""
    return self.trained.model

  @property
  def window(self) -> tuple[int, int]:
    """Context frames and chunk frames."""
    return self.trained.context_frames, self.trained.chunk_frames

  @property
  def size(self) -> tuple[int, int]:
    """Height and width of its frames."""
    return self.trained.size

  @property
  def identity(self) -> str:
    """All that decides how it plays, beside the episodes."""
    compiled = dataclasses.replace(self.player.compiled, params=None)
    player = dataclasses.replace(self.player, compiled=compiled, progress=None)
    return f'{player} {trees.fingerprint(self.trained.params)}'

  @property
  def memory_layers(self) -> nn.Module | None:
    """Binds the layers of its memory; None if it learns nothing."""
    memory = self.model.memory
    layers = None if memory is None else memory.layers()
    if layers is None:
      return None
    params = self.trained.params['params']['memory_layers']
    return layers.bind({'params': params})


def names_of(checkpoints: Sequence[str]) -> list[str]:
  """Short names: the last part of each path where these differ.

  Raises:
    ValueError: when one checkpoint is given twice, or none is.
  """
  if not checkpoints or not all(checkpoints):
    raise ValueError(
      'no checkpoint given; --checkpoint takes a workdir, a released folder or '
      'a shipped name, or several with commas between them'
    )
  if len(set(checkpoints)) < len(checkpoints):
    raise ValueError(
      f'--checkpoint={",".join(checkpoints)} names one twice; give each once'
    )
  short = [pathlib.PurePath(x).name for x in checkpoints]
  return short if len(set(short)) == len(short) else list(checkpoints)


def open_entrants(
  checkpoints: Sequence[str],
  steps: int | None = None,
  writes_generated: bool = True,
  memory: str | None = None,
) -> dict[str, Entrant]:
  """Loads checkpoints that are to be compared, by their short names.

  Args:
    checkpoints: workdirs, released folders or shipped names.
    steps: of the sampler; None for each config's own.
    writes_generated: whether generated frames enter the memory.
    memory: a memory file that the one checkpoint goes on from.

  Raises:
    FileNotFoundError: a checkpoint or memory file that there is not.
    ValueError: damaged ones, ones with frames of different sizes, or a memory
      that is not the checkpoint's.
  """
  entrants = {}
  for name, checkpoint in zip(names_of(checkpoints), checkpoints, strict=True):
    trained = build.load(checkpoint)
    state = open_memory(memory, trained.model, checkpoints) if memory else None
    player = ModelPlayer(trained.compiled(steps), writes_generated, state)
    entrants[name] = Entrant(trained, player)
  sizes = {name: x.size for name, x in entrants.items()}
  if len(set(sizes.values())) > 1:
    raise ValueError(
      f'checkpoints of different sizes {sizes}; compare models of one size'
    )
  return entrants


def open_memory(
  path: str, model: WorldModel, checkpoints: Sequence[str]
) -> Any:
  """The state in a memory file of this model's; see `open_entrants`."""
  if len(checkpoints) > 1:
    raise ValueError(
      f'--memory={path} is of one model, and --checkpoint names '
      f'{len(checkpoints)}; give the one that wrote it'
    )
  memory, state = storage.load(path)
  if not storage.alike(memory, model.memory):
    raise ValueError(
      f'{path} holds {memory}, but {checkpoints[0]} remembers by '
      f'{model.memory}; give the checkpoint that wrote it'
    )
  return state


def flag_list(text: str | None) -> list[str]:
  """The parts of a flag between its commas."""
  return [part.strip() for part in (text or '').split(',') if part.strip()]
