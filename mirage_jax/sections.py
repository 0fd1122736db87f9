"""Sections of a config become keyword arguments, unknown keys refused."""

import inspect
from collections.abc import Callable
from typing import Any, TypeVar

Made = TypeVar('Made')


def call(make: Callable[..., Made], name: str, section: Any) -> Made:
  """`make(**section)` for the section `name` of a config, a mapping.

  Raises:
    ValueError: a key that `make` does not take, or one that it lacks.
  """
  check(make, name, section)
  settings: dict[str, Any] = dict(section)
  return make(**settings)


def check(make: Callable, name: str, section: Any) -> None:
  """Checks that `make(**section)` gets exactly what it takes.

  Raises:
    ValueError: a key that `make` does not take, or one that it lacks.
  """
  known = inspect.signature(make).parameters
  for key in section:
    if key not in known:
      raise ValueError(
        f"unknown config key '{name}.{key}'; have {', '.join(known)}"
      )
  for key, parameter in known.items():
    if parameter.default is parameter.empty and key not in section:
      raise ValueError(
        f"config key '{name}.{key}' is missing; add it to the experiment"
      )
