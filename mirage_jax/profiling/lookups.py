"""Bytes that the lookups of a program ask for, in whatever layout."""

import math
from typing import Any

import jax
from jax.extend import core


def count(function: Any, *arguments: Any) -> float:
  """Bytes of all rows that are taken, and twice those of all that change.

  Args:
    function: is traced, not run. Loops count as often as they go round, so it
      must not have any whose end depends on values.
    *arguments: arrays, or shapes.
  """
  return _of(jax.make_jaxpr(function)(*arguments).jaxpr)


def _of(jaxpr: core.Jaxpr) -> float:
  total = 0.0
  for equation in jaxpr.eqns:
    name, times = equation.primitive.name, 1
    if name == 'gather':
      total += _size(equation.outvars[0])
    elif name.startswith('scatter'):
      total += 2 * _size(equation.invars[2])
    elif name == 'scan':
      times = equation.params['length']
    inner = [_of(body) for body in core.jaxprs_in_params(equation.params)]
    total += times * (max(inner, default=0.0) if name == 'cond' else sum(inner))
  return total


def _size(variable: Any) -> float:
  return math.prod(variable.aval.shape) * variable.aval.dtype.itemsize
