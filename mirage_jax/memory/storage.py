"""Memory files: one versioned safetensors file, whole or not there at all."""

import dataclasses
import json
import os
import pathlib
import tempfile
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import safetensors
import safetensors.numpy

from mirage_jax.memory.contract import Memory
from mirage_jax.memory.kinds import KINDS

FORMAT, VERSION = 'mirage-memory', '4'
READABLE = 0o644


def save(path: str | os.PathLike, memory: Memory, state: Any) -> None:
  """Writes a state and the configuration that reads it.

  Args:
    path: the file; replaced only when the new one is complete.
    memory: what the state belongs to.
    state: a state of one scene (a batch of one will do).

  Raises:
    ValueError: when a sum of the state has left its range, or for several
      scenes.
    OSError: when the file cannot be written.
  """
  if np.asarray(state.overflow).any():
    raise ValueError(
      f'{path} is not written: a sum of the memory left its range; '
      'save earlier, or forget before writing more'
    )
  if state.frame.ndim == 3 and state.frame.shape[0] == 1:
    state = jax.tree.map(lambda x: x[0], state)
  if state.frame.ndim != 2:
    raise ValueError(
      f'{path} is not written: the state is of {state.frame.shape[:-2]} '
      'scenes; save one file for each'
    )
  kind = {made: kind for kind, made in KINDS.items()}[type(memory)]
  config = json.dumps(layout(memory), sort_keys=True)
  metadata = {'format': FORMAT, 'version': VERSION}
  metadata |= {'kind': kind, 'config': config}
  if memory.grows:
    metadata['capacity'] = str(state.capacity)
  content = safetensors.numpy.save(_flatten(state), metadata=metadata)
  path = pathlib.Path(path)
  handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f'.{path.name}.')
  try:
    with os.fdopen(handle, 'wb') as file:
      file.write(content)
      file.flush()
      os.fsync(file.fileno())
      os.fchmod(file.fileno(), READABLE)
    os.replace(temporary, path)
  except BaseException:
    os.unlink(temporary)
    raise


def layout(memory: Memory) -> dict[str, Any]:
  """The configuration that a state depends on: all but what computes it."""
  settings: Any = memory
  values = dataclasses.asdict(settings)
  values.pop('lookup', None)
  return values


def alike(first: Any, second: Any) -> bool:
  """Tests whether the states of one memory are the other's, too."""
  kinds = {type(first), type(second)}
  return len(kinds) == 1 and layout(first) == layout(second)


def load(path: str | os.PathLike) -> tuple[Memory, Any]:
  """Reads what `save` wrote.

  Raises:
    FileNotFoundError: when there is no such file.
    ValueError: when it is truncated, foreign, or of another version.
  """
  if not pathlib.Path(path).is_file():
    raise FileNotFoundError(
      f'no memory file {path}; give a file that save has written'
    )
  metadata, arrays = _read(path)
  if metadata.get('format') != FORMAT:
    raise ValueError(
      f'{path} is no memory file: its format is '
      f'{metadata.get("format")!r}, expected {FORMAT!r}'
    )
  if metadata.get('version') != VERSION:
    raise ValueError(
      f'{path} has version {metadata.get("version")!r}; this code reads '
      f'{VERSION!r}: write the memory again'
    )
  try:
    memory = _parse(metadata['kind'], metadata['config'])
    state = _unflatten(_grown(memory, metadata), arrays)
  except (KeyError, TypeError, ValueError) as error:
    raise ValueError(
      f'{path} does not hold the memory that it describes '
      f'({error}); write it again'
    ) from error
  return memory, state


def _read(path):
  """Metadata and arrays of a safetensors file."""
  try:
    with safetensors.safe_open(path, 'numpy') as file:
      metadata = file.metadata() or {}
      return metadata, {
        name: file.get_tensor(name) for name in file.offset_keys()
      }
  except safetensors.SafetensorError as error:
    raise ValueError(
      f'{path} is truncated or no safetensors file ({error}); '
      'write or copy it again'
    ) from error


def _parse(kind, text):
  """The configuration in a file's metadata."""
  values: dict[str, Any] = json.loads(text)
  values = {
    k: tuple(v) if isinstance(v, list) else v for k, v in values.items()
  }
  return KINDS[kind](**values)


def _grown(memory, metadata):
  """The memory at the size that its state has in the file."""
  if not memory.grows:
    return memory
  settings: Any = memory
  return dataclasses.replace(settings, capacity=int(metadata['capacity']))


def _flatten(state):
  """Named arrays of a state: the path of each leaf, with slashes."""
  leaves = jax.tree_util.tree_leaves_with_path(state)
  return {
    jax.tree_util.keystr(path, simple=True, separator='/'): np.asarray(
      leaf, order='C'
    )
    for path, leaf in leaves
  }


def _unflatten(memory, arrays):
  """The state of these arrays; KeyError or ValueError if any is not as due."""
  like = memory.init(jnp.eye(4))
  for name, leaf in _flatten(like).items():
    found = arrays[name]
    if found.shape != leaf.shape or found.dtype != leaf.dtype:
      raise ValueError(
        f'{name} is {found.dtype} {found.shape}, '
        f'expected {leaf.dtype} {leaf.shape}'
      )
  leaves = [jnp.asarray(arrays[name]) for name in _flatten(like)]
  return jax.tree.unflatten(jax.tree.structure(like), leaves)
