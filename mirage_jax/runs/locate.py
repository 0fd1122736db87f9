"""Checkpoints by name: a workdir, a released folder, a shipped name."""

import os
import pathlib

from mirage_jax import trees
from mirage_jax.runs import checkpoints, export, workdirs
from mirage_jax.training.state import Params


def shipped_names() -> list[str]:
  """Models inside the package."""
  return sorted(p.parent.name for p in export.SHIPPED.glob('*/config.json'))


def open_checkpoint(
  name: str | os.PathLike, step: int | None = None
) -> export.Released:
  """Parameters and config of a workdir, a released folder or a shipped name.

  A folder wins over a shipped name. `step` chooses among the checkpoints of a
  workdir; it is the newest otherwise.

  Raises:
    FileNotFoundError: there is no such thing.
    ValueError: it is damaged.
  """
  folder = pathlib.Path(name)
  if (folder / export.PARAMS).exists():
    return export.load(folder)
  if (folder / 'checkpoints').exists():
    params, step = checkpoints.load_params(folder, only=step)
    config = workdirs.read_config(folder)
    return export.Released(
      params=params,
      config=config,
      commit=workdirs.read_commit(folder),
      steps=step,
      seed=config['seed'],
    )
  if str(name) in shipped_names():
    return export.load(export.SHIPPED / str(name))
  if (folder / export.CONFIG).exists():
    return export.load(folder)
  raise FileNotFoundError(
    f'no checkpoint {str(name)!r}; expected a workdir of launch.train, a '
    f'released folder, or one of: {", ".join(shipped_names()) or "(none)"}'
  )


def check_params(
  params: Params, expected: Params, name: str | os.PathLike
) -> None:
  """Checks that the parameters of `name` fit a model.

  Raises:
    ValueError: it names the first leaf that differs, with both shapes.
  """
  difference = trees.first_difference(params, expected)
  if difference is not None:
    raise ValueError(
      f'checkpoint {name} holds another architecture: {difference}; use the '
      'code and the config that made it'
    )
