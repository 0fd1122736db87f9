"""A run's folder: who may write to it, and which experiment owns it.

It holds `config.json` (the experiment), `commits` (of the code that trained),
`checkpoints/` (one folder a step),
`metrics.jsonl` (one line a report), `images/` (contact sheets),
`tensorboard/` (the same for TensorBoard), and `.lock` (of the process that
trains).
"""

import contextlib
import errno
import fcntl
import json
import os
import pathlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any

# A run may be prolonged, watched or saved differently: its bits stay the same.
# On another mesh only the order of sums, their last bits, differs.
FREE_FIELDS = (
  'mesh.data',
  'mesh.fsdp',
  'mesh.model',
  'train.steps',
  'train.log_every',
  'train.patience_s',
  'train.image_every',
  'train.checkpoint_every',
  'train.keep',
  'train.keep_every',
)

# What file systems without locks answer: NFS without its lock service, Lustre
# mounted without `flock`.
NO_LOCKS = (errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS)


def write_text(path: pathlib.Path, text: str) -> None:
  """Writes a file atomically: it has the old content or the new."""
  path.parent.mkdir(parents=True, exist_ok=True)
  temporary = path.with_name(f'.{path.name}.{os.getpid()}.tmp')
  try:
    temporary.write_text(text, encoding='utf-8')
    os.replace(temporary, path)
  finally:
    temporary.unlink(missing_ok=True)


def flat_config(config: Mapping[str, Any], prefix: str = '') -> dict[str, Any]:
  """A nested config as `{'train.steps': 100}`; tuples become lists."""
  flat: dict[str, Any] = {}
  for name, value in config.items():
    if isinstance(value, Mapping):
      flat |= flat_config(value, f'{prefix}{name}.')
    else:
      flat[prefix + name] = list(value) if isinstance(value, tuple) else value
  return flat


def config_difference(
  found: Mapping[str, Any], given: Mapping[str, Any]
) -> tuple[str, Any, Any] | None:
  """The first field (and both values) that makes two experiments differ."""
  old, new = flat_config(found), flat_config(given)
  free = set(FREE_FIELDS)
  if new.get('optimizer.schedule') == 'constant':
    free.add('optimizer.steps')  # a constant rate has no end
  for name in [*new, *(n for n in old if n not in new)]:
    if name in free:
      continue
    values = old.get(name, 'absent'), new.get(name, 'absent')
    if json.dumps(values[0]) != json.dumps(values[1]):
      return name, *values
  return None


def tuples(config: Any) -> Any:
  """A config read from JSON with the tuples that it was written with."""
  if isinstance(config, dict):
    return {name: tuples(value) for name, value in config.items()}
  return tuple(map(tuples, config)) if isinstance(config, list) else config


def read_config(workdir: str | os.PathLike) -> dict[str, Any]:
  """The experiment of a run's folder.

  Raises:
    FileNotFoundError: no config.json there.
    ValueError: config.json is not JSON.
  """
  path = pathlib.Path(workdir) / 'config.json'
  try:
    return tuples(json.loads(path.read_text(encoding='utf-8')))
  except FileNotFoundError:
    raise FileNotFoundError(
      f'{path} is missing; expected a folder made by launch.train, '
      'check the path'
    ) from None
  except ValueError as error:
    raise ValueError(
      f'{path} is damaged ({error}); expected JSON, restore it or use '
      'another workdir'
    ) from None


def own(workdir: str | os.PathLike, config: Mapping[str, Any]) -> None:
  """Writes `config.json`, or checks that the one there says the same.

  Raises:
    ValueError: the folder belongs to another experiment.
  """
  path = pathlib.Path(workdir) / 'config.json'
  if path.exists():
    difference = config_difference(read_config(workdir), config)
    if difference is not None:
      name, old, new = difference
      raise ValueError(
        f'workdir {workdir} belongs to another experiment: {name} is {old!r} '
        f'there and {new!r} here; pass --config.{name}={old} or another '
        '--workdir'
      )
  write_text(path, json.dumps(config, indent=2) + '\n')


def note_commit(workdir: str | os.PathLike, commit: str) -> None:
  """Adds the code that trains from now on to the folder's `commits`."""
  path = pathlib.Path(workdir) / 'commits'
  lines = path.read_text().splitlines() if path.exists() else []
  if lines[-1:] != [commit]:
    write_text(path, '\n'.join([*lines, commit]) + '\n')


def read_commit(workdir: str | os.PathLike) -> str:
  """The code that trained last in the folder; 'unknown' if nobody noted it."""
  path = pathlib.Path(workdir) / 'commits'
  return path.read_text().split()[-1] if path.exists() else 'unknown'


@contextlib.contextmanager
def lock(
  workdir: str | os.PathLike, warn: Callable[[str], None] = print
) -> Iterator[None]:
  """Holds the folder for this process; the kernel frees it at any death.

  A file system without locks is no reason not to train on it: the user is told
  to take care.

  Args:
    workdir: the folder; made if it is missing.
    warn: told, in one line, that the folder cannot be locked.

  Raises:
    ValueError: another process holds it.
    OSError: the lock could not be asked for.
  """
  folder = pathlib.Path(workdir)
  folder.mkdir(parents=True, exist_ok=True)
  with open(folder / '.lock', 'a+', encoding='utf-8') as file:
    try:
      fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
      file.seek(0)
      raise ValueError(
        f'workdir {workdir} is in use by process {file.read().strip()}; '
        'wait for it, stop it, or use another --workdir'
      ) from None
    except OSError as error:
      if error.errno not in NO_LOCKS:
        raise OSError(
          f'cannot lock {file.name} ({error.strerror}); check the file system '
          'there, or use another --workdir'
        ) from error
      warn(
        f'workdir {workdir} is on a file system without locks '
        f'({error.strerror}); make sure that no other run writes to it'
      )
    file.truncate(0)
    file.write(f'{os.getpid()}\n')
    file.flush()
    yield
