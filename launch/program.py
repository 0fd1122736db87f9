"""Starts every program, and ends it with figures or an error of one line.

A program ends in one of two ways. Its last line of stdout is one JSON object,
and it exits with 0. Or its last line of stderr starts with `error:` and names
the fault, and it exits with 1; `--debug` keeps the traceback.
"""

import ctypes
import errno
import json
import math
import re
import sys
from collections.abc import Callable, Mapping, Sequence

from absl import app, flags

_DEBUG = flags.DEFINE_bool('debug', False, 'Show the traceback of an error.')
# Parameters of mallopt(3), and the value of each.
_ALLOCATION = {
  'M_MMAP_MAX': (-4, 0),  # large arrays come from the heap, too
  'M_TRIM_THRESHOLD': (-1, -1),  # whose end is never given back
  'M_TOP_PAD': (-2, 64 << 20),  # and which grows by as many bytes at a time
}
_HELP = ('--help', '-help', '--helpshort', '-helpshort', '--helpfull', '-?')


def run_program(main: Callable[[list[str]], Mapping | None]) -> None:
  """Parses the flags, runs `main(argv)`, prints its figures, and exits.

  Args:
    main: The program. If it returns a mapping, that becomes the last line of
      stdout (see `print_result`).
  """
  keep_freed_memory()
  try:
    app.run(lambda argv: _report(main(argv)))
  except SystemExit as stop:
    # absl ends --help with 1, which means failure to a caller.
    asked_for_help = any(flag in sys.argv[1:] for flag in _HELP)
    sys.exit(0 if asked_for_help else stop.code)
  except KeyboardInterrupt:
    _fail('interrupted', 130)
  except Exception as error:
    message = _unknown_key(error, sys.argv[1:])
    if message is not None:
      _fail(message, 1)
    if not is_bad_input(error) or _debug():
      raise
    _fail(one_line(error), 1)


def keep_freed_memory() -> bool:
  """Makes this process reuse the memory of arrays that it has freed.

  XLA allocates and frees the arrays of a step anew. glibc would return large
  ones to the system each time, which must then clear their pages again. The
  process stays as large as it was at its largest.

  Returns:
    False where the C library has no mallopt(3), and nothing changes.
  """
  try:
    mallopt = ctypes.CDLL(None).mallopt
  except (AttributeError, OSError, TypeError):
    return False
  return all([mallopt(name, value) for name, value in _ALLOCATION.values()])


def print_result(figures: Mapping) -> None:
  """Prints `figures` as one line of JSON; numbers not finite become null."""
  sys.stderr.flush()
  print(json.dumps(_plain(figures), allow_nan=False), flush=True)


def is_bad_input(error: Exception) -> bool:
  """Returns True for errors of the input, False for those of the code."""
  return isinstance(error, ValueError | OSError | FloatingPointError)


def one_line(error: Exception) -> str:
  """Returns the error's message in one line; system errors get a way out."""
  message = ' '.join(str(error).split()) or type(error).__name__
  if not isinstance(error, OSError) or error.strerror is None:
    return message
  name = '' if error.filename is None else f'{error.filename}: '
  message = f'{name}{error.strerror}'
  if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
    return f'{message}; free some space, or give another folder'
  if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
    return f'{message}; check its permissions, or give another path'
  if error.errno == errno.ENOENT:
    return f'{message}; check the path'
  return message


def _unknown_key(error: Exception, arguments: Sequence[str]) -> str | None:
  """Returns a message that names the unknown `--config.key`, if any."""
  if not isinstance(error, AttributeError | KeyError):
    return None
  for argument in arguments:
    _, *parts = argument.split('=')[0].split('.')
    if any(re.search(rf'\b{re.escape(p)}\b', str(error)) for p in parts):
      hint = re.search(r'Did you mean "(\w+)"', str(error))
      meant = f'did you mean {hint[1]}? ' if hint else ''
      return (
        f"unknown config key '{'.'.join(parts)}'; {meant}"
        'The keys are those of the --config file'
      )
  return None


def _report(figures: Mapping | None) -> None:
  if figures is not None:
    print_result(figures)


def _debug() -> bool:
  return flags.FLAGS.is_parsed() and _DEBUG.value


def _fail(message: str, code: int) -> None:
  sys.stdout.flush()
  print(f'error: {message}', file=sys.stderr, flush=True)
  sys.exit(code)


def _plain(value):
  """Converts to what JSON has: dicts, lists, text and finite numbers."""
  if isinstance(value, Mapping):
    return {str(k): _plain(v) for k, v in value.items()}
  if isinstance(value, str | bool | int) or value is None:
    return value
  if hasattr(value, 'tolist'):  # NumPy and JAX arrays and scalars
    return _plain(value.tolist())
  if isinstance(value, Sequence):
    return [_plain(v) for v in value]
  if isinstance(value, float):
    return value if math.isfinite(value) else None
  return str(value)
