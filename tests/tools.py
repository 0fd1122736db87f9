"""Finds the programs that are installed beside the interpreter."""

import pathlib
import sys


def installed(name: str) -> str:
  """Returns the path of a program of this environment, activated or not."""
  path = pathlib.Path(sys.executable).with_name(name)
  assert path.exists(), f"no {path}; install it with pip install -e '.[dev]'"
  return str(path)
