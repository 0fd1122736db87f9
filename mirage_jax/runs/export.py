"""A shipped model: `params.safetensors` in bfloat16 and `config.json`.

config.json holds the experiment under `config`, and `commit`, `steps`, `seed`,
`parameters` and the SHA-256 of the parameters' file.
"""

import dataclasses
import hashlib
import json
import os
import pathlib
import subprocess
from typing import Any

import jax.numpy as jnp
import safetensors
from safetensors import flax as tensors

from mirage_jax import trees
from mirage_jax.runs import workdirs
from mirage_jax.training.state import Params, cast_floats

PARAMS, CONFIG = 'params.safetensors', 'config.json'
SHIPPED = pathlib.Path(__file__).parents[1] / 'pretrained'


@dataclasses.dataclass(frozen=True)
class Released:
  """A model read from a folder.

  Attributes:
    params: nested dicts; floats in float32.
    config: the experiment that made it.
    commit: of the code that made it.
    steps: trained for.
    seed: of the run.
  """

  params: Params
  config: dict[str, Any]
  commit: str
  steps: int
  seed: int


def export(folder: str | os.PathLike, model: Released) -> int:
  """Writes a model's folder and returns the bytes of its parameters."""
  folder = pathlib.Path(folder)
  folder.mkdir(parents=True, exist_ok=True)
  leaves = trees.flatten(cast_floats(model.params, jnp.bfloat16))
  data = tensors.save({k: jnp.asarray(v) for k, v in leaves.items()})
  temporary = folder / f'.{PARAMS}.{os.getpid()}.tmp'
  try:
    temporary.write_bytes(data)
    os.replace(temporary, folder / PARAMS)
  finally:
    temporary.unlink(missing_ok=True)
  about = {
    'commit': model.commit,
    'steps': model.steps,
    'seed': model.seed,
    'parameters': trees.count_parameters(model.params),
    'sha256': hashlib.sha256(data).hexdigest(),
    'config': model.config,
  }
  workdirs.write_text(folder / CONFIG, json.dumps(about, indent=2) + '\n')
  return len(data)


def load(folder: str | os.PathLike) -> Released:
  """Reads a model's folder; the floats come back in float32.

  Raises:
    FileNotFoundError: a file is missing.
    ValueError: a file is truncated or damaged.
  """
  folder = pathlib.Path(folder)
  about = _read_about(folder / CONFIG)
  path = folder / PARAMS
  if not path.exists():
    raise FileNotFoundError(
      f'{path} is missing; expected it beside {CONFIG}, fetch it again'
    )
  data = path.read_bytes()
  if hashlib.sha256(data).hexdigest() != about['sha256']:
    raise ValueError(
      f'{path} is damaged ({len(data)} bytes, not the ones that {CONFIG} '
      'names); fetch it again'
    )
  try:
    # `safetensors.flax.load` knows no bfloat16, `safe_open` does.
    with safetensors.safe_open(path, 'flax') as file:
      leaves = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
  except safetensors.SafetensorError as error:
    raise ValueError(
      f'{path} is no safetensors file ({error}); fetch it again'
    ) from None
  return Released(
    params=cast_floats(trees.unflatten(leaves), jnp.float32),
    config=workdirs.tuples(about['config']),
    commit=about['commit'],
    steps=about['steps'],
    seed=about['seed'],
  )


def _read_about(path: pathlib.Path) -> dict[str, Any]:
  try:
    about = json.loads(path.read_text(encoding='utf-8'))
  except FileNotFoundError:
    raise FileNotFoundError(
      f'{path} is missing; expected the folder of a released model'
    ) from None
  except ValueError as error:
    raise ValueError(
      f'{path} is damaged ({error}); expected JSON, fetch it again'
    ) from None
  missing = {'commit', 'steps', 'seed', 'sha256', 'config'} - about.keys()
  if missing:
    raise ValueError(
      f'{path} lacks {", ".join(sorted(missing))}; expected the config.json '
      'of a released model'
    )
  return about


def current_commit() -> str:
  """The commit of the code that runs, '+' if it was changed; or 'unknown'."""
  here = pathlib.Path(__file__).parent

  def git(*words: str) -> str:
    return subprocess.run(
      ['git', *words], cwd=here, capture_output=True, text=True, check=True
    ).stdout.strip()

  try:
    changed = git('status', '--porcelain', '--untracked-files=no')
    return git('rev-parse', 'HEAD') + ('+' if changed else '')
  except (OSError, subprocess.CalledProcessError):
    return 'unknown'
