"""Integrity of checkpoints: whole on the disk, and fitting the run."""

import json
import pathlib
import zlib
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import jax
import numpy as np
from jax.experimental import multihost_utils
from orbax.checkpoint import v1 as ocp

from mirage_jax import trees

Result = TypeVar('Result')
DATA = 'data'  # among the checksums, which are named by leaf


class Damaged(ValueError):
  """A checkpoint on the disk is not what was saved."""


class OtherArchitecture(ValueError):
  """A checkpoint has other leaves than were asked for."""


def saved_shapes(path: pathlib.Path) -> dict[str, Any]:
  """The tree saved at `path`, with shape and dtype in place of its leaves."""
  tree = guarded(
    lambda: ocp.metadata(path, checkpointable_name='state').metadata, path
  )
  if not isinstance(tree, dict) or 'params' not in tree:
    raise Damaged(f'checkpoint {path} is damaged (its metadata is unreadable)')
  return tree


def abstract_sums(tree: Any) -> dict[str, np.ndarray]:
  """Builds the request to Orbax for the checksums of all leaves of `tree`."""
  one = np.zeros((), np.uint32)
  return {name: one for name, _ in trees.named_leaves(tree)} | {DATA: one}


def sums_to_save(state: Any, data: Any) -> dict[str, np.ndarray]:
  """Checksums of a state and of a Grain iterator, as Orbax saves them."""
  sums = trees.checksums(state) | {DATA: data_sum(data)}
  return {name: np.array(value, np.uint32) for name, value in sums.items()}


def data_sum(data: Any) -> int:
  """Checksum of a Grain iterator's state; all processes are at the same."""
  text = json.dumps(data.get_state(), sort_keys=True)
  return zlib.crc32(text.encode())


def check_architecture(path: pathlib.Path, expected: Any) -> None:
  """Checks that the checkpoint at `path` has exactly the leaves of `expected`.

  Raises:
    OtherArchitecture: it names the first leaf that differs, with both shapes.
  """
  difference = trees.first_difference(saved_shapes(path), expected)
  if difference is not None:
    raise OtherArchitecture(
      f'checkpoint {path} holds another architecture: {difference}; use the '
      f'config that made it ({path.parents[1] / "config.json"}) or another '
      '--workdir'
    )


def check_sums(
  path: pathlib.Path, tree: Any, expected: Mapping[str, Any]
) -> None:
  """Checks that all leaves of `tree` are the ones that were saved.

  Raises:
    Damaged: it names the first leaf that is not.
  """
  for name, value in trees.checksums(tree).items():
    if value != int(expected[name]):
      raise Damaged(
        f'checkpoint {path} is damaged (the bits of {name} changed on the disk)'
      )


def check_data(path: pathlib.Path, data: Any, sums: Mapping[str, Any]) -> None:
  """Checks that a Grain iterator stands where it stood when it was saved.

  Raises:
    Damaged: it does not.
  """
  if data_sum(data) != int(sums[DATA]):
    raise Damaged(f'checkpoint {path} is damaged (the data iterator changed)')


def guarded(read: Callable[[], Any], path: pathlib.Path) -> Any:
  """Calls `read`; whatever Orbax raises means that the checkpoint is bad."""
  try:
    return read()
  except Exception as error:
    raise Damaged(f'checkpoint {path} is damaged ({brief(error)})') from error


def together(act: Callable[[], Result], path: pathlib.Path) -> Result:
  """Calls `act` in every process; all of them get its result, or none does.

  What only one cannot read (its shard is damaged, its mount is gone) is damaged
  for all: else they would go on from different checkpoints.

  Args:
    act: leaves no other process waiting when it fails.
    path: of the checkpoint that it is about.

  Raises:
    OtherArchitecture: from `act`.
    Damaged: from `act`, here or in another process.
  """
  if jax.process_count() == 1:
    return act()
  result: Any = None
  error = None
  try:
    result = act()
  except (Damaged, OtherArchitecture) as found:
    error = found
  fine = multihost_utils.process_allgather(np.array(error is None))
  if error is None and not fine.all():
    others = np.flatnonzero(~fine).tolist()
    error = Damaged(f'checkpoint {path} is damaged (so say processes {others})')
  if error is not None:
    raise error
  return result


def brief(error: BaseException) -> str:
  """The first line of the innermost cause, at most 120 characters."""
  while error.__cause__ is not None:
    error = error.__cause__
  lines = str(error).strip().splitlines() or ['']
  return f'{type(error).__name__}: {lines[0][:120]}'.rstrip(': ')
