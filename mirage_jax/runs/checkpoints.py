"""Checkpoints of a run: saved behind the training, checked when read.

Orbax v1 writes `{state, data, checksums}`; `data` is the Grain iterator. A
save is a new folder renamed into place, so a process killed at any moment
leaves whole checkpoints only. What reaches the disk damaged all the same (a
truncated file, a flipped bit) is told by the checksums of all leaves.
"""

import json
import os
import pathlib
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils
from orbax.checkpoint import v1 as ocp

from mirage_jax import trees
from mirage_jax.runs import integrity
from mirage_jax.training.state import Params, TrainState

_POLICIES = ocp.training.preservation_policies
Warn = Callable[[str], None]


class Checkpoints:
  """The checkpoints of one workdir, open for writing.

  Args:
    workdir: the run's folder; hold `workdirs.lock` on it.
    keep: how many of the newest stay.
    keep_every: checkpoints of steps divisible by it stay for ever; 0 = none.
    warn: told, in one line, what was found damaged.
  """

  def __init__(
    self,
    workdir: str | os.PathLike,
    *,
    keep: int = 3,
    keep_every: int = 0,
    warn: Warn = print,
  ):
    self.folder = pathlib.Path(workdir).resolve() / 'checkpoints'
    self._warn = warn
    self._keep = [_POLICIES.LatestN(keep)]
    if keep_every:
      self._keep.append(_POLICIES.EveryNSteps(keep_every))
    self._open()

  def _open(self) -> None:
    self._checkpointer = ocp.training.Checkpointer(
      self.folder,
      preservation_policy=_POLICIES.AnyPreservationPolicy(self._keep),
      cleanup_tmp_directories=True,
    )

  def __enter__(self) -> 'Checkpoints':
    return self

  def __exit__(self, *_) -> None:
    self.close()

  @property
  def steps(self) -> list[int]:
    """Steps on the disk, ascending."""
    return [c.step for c in self._checkpointer.checkpoints]

  def save(self, state: TrainState, data: Any) -> None:
    """Saves behind the training; a step that is there already is left.

    Raises:
      OSError: an earlier save or this one could not be written.
    """
    step = int(state.step)
    if step in self.steps:
      return
    sums = integrity.sums_to_save(state, data)
    items = {'state': state, 'data': data, 'checksums': sums}
    try:
      self._checkpointer.save_checkpointables_async(step, items, force=True)
    except Exception as error:
      raise self._unwritten(error) from error

  def wait(self) -> None:
    """Returns when all is on the disk.

    Raises:
      OSError: it could not be written.
    """
    try:
      self._checkpointer.wait()
    except Exception as error:
      raise self._unwritten(error) from error

  def close(self) -> None:
    """Waits and lets the folder go."""
    self.wait()
    self._checkpointer.close()

  def _unwritten(self, error: Exception) -> OSError:
    reason = integrity.brief(error)
    start = f'step {self.steps[-1]}' if self.steps else 'the start'
    return OSError(
      f'cannot write a checkpoint to {self.folder} ({reason}); make room there '
      f'and run the same command again: it goes on from {start}'
    )

  def restore(self, state: TrainState, data: Any) -> TrainState | None:
    """The newest whole checkpoint, or None if there is none.

    Args:
      state: arrays or `ShapeDtypeStruct`s with the shardings to restore to.
      data: the live Grain iterator; it is set to where it was.

    Raises:
      ValueError: it holds another architecture; or all are damaged.
    """
    bad: list[int] = []
    first: ValueError | None = None
    for step in reversed(_of_first_process(self.steps)):
      try:
        restored = self._restore(step, state, data)
      except (integrity.Damaged, integrity.OtherArchitecture) as error:
        bad.append(step)
        first = first or error
        self._warn(f'{error}; trying the one before')
      else:
        if bad:
          self._set_aside(bad)
        return restored
    if first is not None:
      raise _none_left(self.folder, first)
    return None

  def _restore(self, step: int, state: TrainState, data: Any) -> TrainState:
    path = self.folder / str(step)
    with _alone():
      # Orbax numbers its operations, and next saves only if all processes have
      # begun as many: a load begins in all of them or in none.
      wanted = integrity.together(lambda: _wanted(path, state, data), path)
      loaded = integrity.together(lambda: _load(path, wanted), path)

    def check() -> None:
      integrity.check_sums(path, loaded['state'], loaded['checksums'])
      integrity.check_data(path, data, loaded['checksums'])

    integrity.together(check, path)
    return loaded['state']

  def _set_aside(self, steps: list[int]) -> None:
    """Moves damaged checkpoints out of the way of their successors.

    The first process does, and the others wait.
    """
    if jax.process_index() == 0:
      aside = self.folder.parent / 'damaged'
      aside.mkdir(exist_ok=True)
      for step in steps:
        number = len(list(aside.glob(f'{step}-*')))
        os.replace(self.folder / str(step), aside / f'{step}-{number}')
    if jax.process_count() > 1:
      multihost_utils.sync_global_devices('damaged checkpoints were moved')
    self._checkpointer.reload()


def _of_first_process(steps: list[int]) -> list[int]:
  """The steps that the first process found, in all processes.

  Another host may see a shared folder as it was some seconds ago.
  """
  if jax.process_count() == 1:
    return steps
  count = int(multihost_utils.broadcast_one_to_all(np.int32(len(steps))))
  padded = np.resize(np.array([*steps, 0], np.int32), count)
  return multihost_utils.broadcast_one_to_all(padded).tolist()


def _alone() -> ocp.Context:
  """Lets each process read for itself.

  Orbax would have it wait for all others in the middle of a load, for ever if
  one of them cannot read its part.
  """
  context = ocp.Context()
  context.multiprocessing.primary_host = jax.process_index()
  context.multiprocessing.active_processes = {jax.process_index()}
  return context


def _wanted(path: pathlib.Path, state: TrainState, data: Any) -> dict[str, Any]:
  """Builds the request to Orbax; `data` is set here if Orbax could not."""
  integrity.check_architecture(path, state)
  items = {
    'state': trees.shapes(state),
    'data': data,
    'checksums': integrity.abstract_sums(state),
  }
  theirs = _data_of_others(path)
  if theirs is not None:
    integrity.guarded(lambda: data.set_state(_read_json(theirs)), path)
    del items['data']
  return items


def _load(path: pathlib.Path, wanted: dict[str, Any]) -> dict[str, Any]:
  return integrity.guarded(lambda: ocp.load_checkpointables(path, wanted), path)


def _data_of_others(path: pathlib.Path) -> pathlib.Path | None:
  """A data iterator to go on from, if as many processes did not save it.

  Where a process's iterator stands does not depend on how many there are.
  """
  ours = f'process_{jax.process_index()}-of-{jax.process_count()}.json'
  there = sorted((path / 'data').glob('process_*'))
  if not there or (path / 'data' / ours) in there:
    return None
  return there[0]


def _read_json(path: pathlib.Path) -> Any:
  return json.loads(path.read_text(encoding='utf-8'))


def load_params(
  workdir: str | os.PathLike, warn: Warn = print, only: int | None = None
) -> tuple[Params, int]:
  """Parameters alone, from the newest whole checkpoint: for evaluation.

  Args:
    workdir: a workdir of `launch.train`.
    warn: called with a line for each damaged checkpoint that is passed over.
    only: the step to take instead of the newest.

  Returns:
    The moving average (or the parameters where none was kept) as nested
    dicts, and the step.

  Raises:
    FileNotFoundError: no checkpoint there.
    ValueError: all are damaged.
  """
  folder = pathlib.Path(workdir).resolve() / 'checkpoints'
  steps = sorted(int(p.name) for p in folder.glob('*') if p.name.isdigit())
  if not steps:
    raise FileNotFoundError(
      f'no checkpoint in {folder}; expected a workdir that launch.train has '
      'saved to, check the path or train first'
    )
  if only is not None:
    if only not in steps:
      raise FileNotFoundError(
        f'no checkpoint of step {only} in {folder}; have {steps}'
      )
    steps = [only]
  first: integrity.Damaged | None = None
  for step in reversed(steps):
    try:
      return _load_params(folder / str(step)), step
    except integrity.Damaged as error:
      first = first or error
      warn(f'{error}; trying the one before')
  assert first is not None
  raise _none_left(folder, first)


def _none_left(folder: pathlib.Path, first: ValueError) -> ValueError:
  """Makes the error for no usable checkpoint; `first` is about the newest."""
  if isinstance(first, integrity.OtherArchitecture):
    return first
  return ValueError(
    f'every checkpoint in {folder} is damaged (newest: {first}); delete that '
    'folder and train again'
  )


def _load_params(path: pathlib.Path) -> Params:
  saved = integrity.saved_shapes(path)
  chosen = 'ema' if saved.get('ema') else 'params'
  device = jax.sharding.SingleDeviceSharding(jax.local_devices()[0])

  def wanted(name: str, leaf: Any) -> Any:
    if not name.startswith(f'{chosen}/'):
      return ocp.PLACEHOLDER
    return jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=device)

  items = {
    'state': trees.map_named(wanted, saved),
    'checksums': integrity.abstract_sums(saved),
  }
  loaded = integrity.guarded(
    lambda: ocp.load_checkpointables(path, items), path
  )
  params = loaded['state'][chosen]
  integrity.check_sums(path, {chosen: params}, loaded['checksums'])
  return params
