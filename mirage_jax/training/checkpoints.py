"""Checkpoints of a run: saved behind the training, checked when read.

Orbax v1 writes `{state, data, checksums}`; `data` is the Grain iterator. A
save is a new folder renamed into place, so a process killed at any moment
leaves whole checkpoints only. What reaches the disk damaged all the same (a
truncated file, a flipped bit) is told by the checksums of all leaves.
"""

import json
import os
import pathlib
import zlib
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
from orbax.checkpoint import v1 as ocp

from mirage_jax import trees
from mirage_jax.training.state import Params, TrainState

_POLICIES = ocp.training.preservation_policies
DATA = 'data'  # among the checksums, which are named by leaf
Warn = Callable[[str], None]


class Damaged(ValueError):
  """A checkpoint on the disk is not what was saved."""


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
    sums = trees.checksums(state) | {DATA: _data_sum(data)}
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
    return OSError(
      f'cannot write a checkpoint to {self.folder} ({_brief(error)}); make '
      f'room there and run the same command again: it goes on from '
      f'{"step " + str(self.steps[-1]) if self.steps else "the start"}'
    )

  def restore(self, state: TrainState, data: Any) -> TrainState | None:
    """The newest whole checkpoint, or None if there is none.

    Args:
      state: arrays or `ShapeDtypeStruct`s with the shardings to restore to.
      data: the live Grain iterator; it is set to where it was.

    Raises:
      ValueError: it holds another architecture; or all are damaged.
    """
    reasons = []
    for step in reversed(self.steps):
      try:
        restored = self._restore(step, state, data)
      except Damaged as error:
        reasons.append(str(error))
        self._warn(f'{error}; trying the one before')
      else:
        for bad in self.steps[self.steps.index(step) + 1 :]:
          self._set_aside(bad)
        return restored
    if reasons:
      raise ValueError(
        f'every checkpoint in {self.folder} is damaged (newest: {reasons[0]}); '
        'delete that folder to start again'
      )
    return None

  def _restore(self, step: int, state: TrainState, data: Any) -> TrainState:
    path = self.folder / str(step)
    check_architecture(path, state)
    folder = path / 'data'
    ours = f'process_{jax.process_index()}-of-{jax.process_count()}.json'
    if folder.exists() and not (folder / ours).exists():
      there = sorted(p.name for p in folder.glob('process_*'))
      raise ValueError(
        f'{folder} holds {there}, expected {ours}; resume with as many '
        'processes as saved it'
      )
    device = jax.sharding.SingleDeviceSharding(jax.local_devices()[0])
    items = {
      'state': trees.shapes(state),
      'data': data,
      'checksums': _sums_of(state, device),
    }
    loaded = _load(
      lambda: self._checkpointer.load_checkpointables(step, items), path
    )
    check_sums(path, loaded['state'], loaded['checksums'])
    if int(_data_sum(data)) != int(loaded['checksums'][DATA]):
      raise Damaged(f'checkpoint {path} is damaged (the data iterator changed)')
    return loaded['state']

  def _set_aside(self, step: int) -> None:
    """Moves a damaged checkpoint out of the way of its successor."""
    aside = self.folder.parent / 'damaged'
    aside.mkdir(exist_ok=True)
    number = len(list(aside.glob(f'{step}*')))
    os.replace(self.folder / str(step), aside / f'{step}-{number}')
    self._checkpointer.reload()


def load_params(
  workdir: str | os.PathLike, warn: Warn = print
) -> tuple[Params, int]:
  """Parameters alone, from the newest whole checkpoint: for evaluation.

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
  for step in reversed(steps):
    try:
      return _load_params(folder / str(step)), step
    except Damaged as error:
      warn(f'{error}; trying the one before')
  raise ValueError(
    f'every checkpoint in {folder} is damaged; train again in another workdir'
  )


def _load_params(path: pathlib.Path) -> Params:
  saved = saved_shapes(path)
  chosen = 'ema' if saved.get('ema') else 'params'
  device = jax.sharding.SingleDeviceSharding(jax.local_devices()[0])

  def wanted(name: str, leaf: Any) -> Any:
    if not name.startswith(f'{chosen}/'):
      return ocp.PLACEHOLDER
    return jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=device)

  items = {
    'state': trees.map_named(wanted, saved),
    'checksums': _sums_of(saved, device),
  }
  loaded = _load(lambda: ocp.load_checkpointables(path, items), path)
  params = loaded['state'][chosen]
  check_sums(path, {chosen: params}, loaded['checksums'])
  return params


def saved_shapes(path: pathlib.Path) -> dict[str, Any]:
  """The tree saved at `path`, with shape and dtype in place of its leaves."""
  return _load(
    lambda: ocp.metadata(path, checkpointable_name='state').metadata, path
  )


def _sums_of(tree: Any, sharding: Any) -> dict[str, jax.ShapeDtypeStruct]:
  """What to ask Orbax for, to get the checksums of all leaves of `tree`."""
  one = jax.ShapeDtypeStruct((), jnp.uint32, sharding=sharding)
  return {name: one for name, _ in trees.named_leaves(tree)} | {DATA: one}


def _data_sum(data: Any) -> jax.Array:
  """Checksum of a Grain iterator's state; 0 where processes differ in it."""
  if jax.process_count() > 1:
    return jnp.uint32(0)
  text = json.dumps(data.get_state(), sort_keys=True)
  return jnp.uint32(zlib.crc32(text.encode()))


def check_architecture(path: pathlib.Path, expected: Any) -> None:
  """Checks that the checkpoint at `path` has exactly the leaves of `expected`.

  Raises:
    ValueError: it names the first leaf that differs, with both shapes.
  """
  difference = trees.first_difference(saved_shapes(path), expected)
  if difference is not None:
    raise ValueError(
      f'checkpoint {path} holds another architecture: {difference}; use the '
      'config that made it (config.json beside it) or another --workdir'
    )


def check_sums(
  path: pathlib.Path, tree: Any, expected: Mapping[str, Any]
) -> None:
  """Checks that all leaves of `tree` are the ones that were saved.

  Raises:
    Damaged: it names the first leaf that is not.
  """
  for name, value in trees.checksums(tree).items():
    if int(value) != int(expected[name]):
      raise Damaged(
        f'checkpoint {path} is damaged (the bits of {name} changed on the disk)'
      )


def _load(read: Callable[[], Any], path: pathlib.Path) -> Any:
  """Calls `read`; whatever Orbax raises means that the checkpoint is bad."""
  try:
    return read()
  except Exception as error:
    raise Damaged(f'checkpoint {path} is damaged ({_brief(error)})') from error


def _brief(error: BaseException) -> str:
  """The first line of the innermost cause, at most 120 characters."""
  while error.__cause__ is not None:
    error = error.__cause__
  lines = str(error).strip().splitlines() or ['']
  return f'{type(error).__name__}: {lines[0][:120]}'.rstrip(': ')
