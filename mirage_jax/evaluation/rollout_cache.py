"""Rollouts kept on disk, so that what was played once is not played again.

A long evaluation that was cut off goes on where it was, and another suite on
the same episodes costs only its scores. A file is named after everything that
decides what is in it but the code: the player, the episodes, and the key.
"""

import dataclasses
import hashlib
import pathlib
import zipfile

import jax
import numpy as np

from mirage_jax.arrays import Array, Key
from mirage_jax.evaluation.rollouts import Player, Rollout
from mirage_jax.geometry.clips import Clip
from mirage_jax.io import replaced
from mirage_jax.memory.contract import Readout


def kept(player: Player, folder: pathlib.Path, identity: str) -> Player:
  """The player, with its rollouts in `folder`.

  Args:
    player: plays what is not there yet.
    folder: made if needed.
    identity: all that decides how it plays: weights, sampler, memory.
  """

  def play(clips: Clip, observed: int, key: Key[Array, '']) -> Rollout:
    path = folder / f'{digest(identity, clips, observed, key)}.npz'
    found = load(path)
    if found is None:
      found = player(clips, observed, key)
      save(path, found)
    return found

  return play


def digest(
  identity: str, clips: Clip, observed: int, key: Key[Array, '']
) -> str:
  """A name for a rollout: 32 hex digits."""
  name = hashlib.sha256(f'{identity} {observed}'.encode())
  name.update(np.asarray(jax.random.key_data(key)).tobytes())
  for leaf in jax.tree.leaves(clips):
    name.update(np.ascontiguousarray(leaf).tobytes())
  return name.hexdigest()[:32]


def save(path: pathlib.Path, rollout: Rollout) -> None:
  """Writes a rollout; its memories are left out."""
  parts = {'clip': rollout.clip, 'readout': rollout.readout}
  arrays = {
    f'{part}.{field.name}': np.asarray(getattr(whole, field.name))
    for part, whole in parts.items()
    if whole is not None
    for field in dataclasses.fields(whole)
    if getattr(whole, field.name) is not None
  }
  path.parent.mkdir(parents=True, exist_ok=True)
  with replaced(path) as temporary, temporary.open('wb') as file:
    np.savez(file, allow_pickle=False, **arrays)


def load(path: pathlib.Path) -> Rollout | None:
  """Loads a saved rollout; None if it is not there, or damaged."""
  try:
    with np.load(path) as file:
      arrays = {name: file[name] for name in file.files}
  except (OSError, ValueError, EOFError, zipfile.BadZipFile):
    return None
  parts = {'clip': {}, 'readout': {}}
  for name, array in arrays.items():
    part, field = name.split('.')
    parts[part][field] = array
  readout = Readout(**parts['readout']) if parts['readout'] else None
  return Rollout(Clip(**parts['clip']), readout)
