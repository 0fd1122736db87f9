"""Files of a saved world."""

import dataclasses
import json
import os
import pathlib
import zipfile
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from mirage_jax.geometry.clips import Clip
from mirage_jax.io import staged
from mirage_jax.memory import storage
from mirage_jax.memory.contract import Memory
from mirage_jax.models.rollout import Session

MEMORY, WINDOW, ABOUT = 'memory.safetensors', 'window.npz', 'world.json'
FORMAT, VERSION = 'mirage-world', 1


@dataclasses.dataclass(frozen=True)
class Saved:
  """All of a world but its model.

  Attributes:
    seed: of the noise.
    chunks: generated so far.
    visited: intrinsics and pose of each visited camera.
    session: of one scene; None before any observation.
  """

  seed: int
  chunks: int
  visited: tuple[tuple[np.ndarray, np.ndarray], ...]
  session: Session | None


def write(folder: str | os.PathLike, saved: Saved, memory: Any) -> None:
  """Writes the files of a world with the memory of its model, or None."""
  session = saved.session
  context = None if session is None else session.context
  with staged(folder) as stage:
    if memory is not None and session is not None:
      storage.save(stage / MEMORY, memory, session.states)
    arrays: dict[str, Any] = {} if context is None else _arrays(context)
    intrinsics, poses = (
      zip(*saved.visited, strict=True) if saved.visited else ((), ())
    )
    arrays |= {'visited_intrinsics': intrinsics, 'visited_poses': poses}
    np.savez_compressed(stage / WINDOW, **arrays)
    about = {
      'format': FORMAT,
      'version': VERSION,
      'seed': saved.seed,
      'chunks': saved.chunks,
      'observed': session is not None,
    }
    (stage / ABOUT).write_text(json.dumps(about, indent=2) + '\n')


def read(folder: str | os.PathLike, memory: Memory | None) -> Saved:
  """Reads the files of a world.

  Args:
    folder: from `write`.
    memory: of the model; the saved one must be alike.

  Raises:
    FileNotFoundError: a file is missing.
    ValueError: damaged files, or a memory of another model.
  """
  folder = pathlib.Path(folder)
  about, arrays = _read(folder)
  visited = tuple(
    zip(arrays['visited_intrinsics'], arrays['visited_poses'], strict=True)
  )
  session = None
  if about['observed']:
    fields = {f.name for f in dataclasses.fields(Clip)} & arrays.keys()
    clip = {name: jnp.asarray(arrays[name]) for name in fields}
    states = None if memory is None else _read_states(folder, memory)
    session = Session(Clip(**clip) if clip else None, states)
  return Saved(about['seed'], about['chunks'], visited, session)


def _read_states(folder: pathlib.Path, memory: Memory) -> Any:
  """Reads the memory of one scene as a batch of one."""
  saved, state = storage.load(folder / MEMORY)
  if not storage.alike(saved, memory):
    raise ValueError(
      f'{folder} holds {saved}, but the model remembers by {memory}; give the '
      'model that it was saved with'
    )
  return jax.tree.map(lambda x: x[None], state)


def _read(folder: pathlib.Path) -> tuple[dict[str, Any], dict[str, Any]]:
  """Reads the files beside the memory."""
  try:
    about = json.loads((folder / ABOUT).read_text(encoding='utf-8'))
    if (about.get('format'), about.get('version')) != (FORMAT, VERSION):
      raise ValueError(f'{ABOUT} is not of {FORMAT} version {VERSION}')
    with np.load(folder / WINDOW) as arrays:
      return about, dict(arrays)
  except FileNotFoundError as error:
    raise FileNotFoundError(
      f'{error.filename} is missing; expected a folder that World.save wrote'
    ) from None
  except (ValueError, OSError, zipfile.BadZipFile) as error:
    raise ValueError(
      f'{folder} is damaged ({error}); save the world again'
    ) from None


def _arrays(clip: Clip) -> dict[str, np.ndarray]:
  """Collects the fields of a clip that are not None."""
  fields = {f.name: getattr(clip, f.name) for f in dataclasses.fields(clip)}
  return {k: np.asarray(v) for k, v in fields.items() if v is not None}
