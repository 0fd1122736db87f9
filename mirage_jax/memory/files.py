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

from mirage_jax.memory import tables
from mirage_jax.memory.accumulators import Wide
from mirage_jax.memory.hash_grid import HashGrid
from mirage_jax.memory.tables import HashGridState

FORMAT, VERSION = 'mirage-memory', '1'


def save(path: str | os.PathLike, memory: HashGrid, state) -> None:
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
  config = json.dumps(dataclasses.asdict(memory), sort_keys=True)
  metadata = {'format': FORMAT, 'version': VERSION, 'hash_grid': config}
  content = safetensors.numpy.save(_flatten(state), metadata=metadata)
  path = pathlib.Path(path)
  handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f'.{path.name}.')
  try:
    with os.fdopen(handle, 'wb') as file:
      file.write(content)
      file.flush()
      os.fsync(file.fileno())
    os.replace(temporary, path)
  except BaseException:
    os.unlink(temporary)
    raise


def load(path: str | os.PathLike) -> tuple[HashGrid, HashGridState]:
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
    memory = _parse(metadata['hash_grid'])
    state = _unflatten(memory, arrays)
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


def _parse(text):
  """The configuration in a file's metadata."""
  values: dict[str, Any] = json.loads(text)
  values = {
    k: tuple(v) if isinstance(v, list) else v for k, v in values.items()
  }
  return HashGrid(**values)


def _flatten(state):
  """Named arrays of a state."""
  arrays = {'frame': state.frame, 'overflow': state.overflow}
  for name in tables.BITS:
    sums = getattr(state, name)
    if isinstance(sums, Wide):
      arrays[f'{name}/low'], arrays[f'{name}/high'] = sums.low, sums.high
    else:
      arrays[name] = sums
  return {k: np.ascontiguousarray(v) for k, v in arrays.items()}


def _unflatten(memory, arrays):
  """The state of these arrays; KeyError or ValueError if any is not as due."""
  wanted = _flatten(memory.init(jnp.eye(4)))
  for name, like in wanted.items():
    found = arrays[name]
    if found.shape != like.shape or found.dtype != like.dtype:
      raise ValueError(
        f'{name} is {found.dtype} {found.shape}, '
        f'expected {like.dtype} {like.shape}'
      )
  arrays = {name: jnp.asarray(arrays[name]) for name in wanted}
  sums = {
    name: Wide(arrays[f'{name}/low'], arrays[f'{name}/high'])
    if memory.exact
    else arrays[name]
    for name in tables.BITS
  }
  return HashGridState(
    frame=arrays['frame'], overflow=arrays['overflow'], **sums
  )
