"""Outputs of an evaluation: metrics.json, tables, and plots."""

import dataclasses
import json
import math
import os
import pathlib
from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from mirage_jax.evaluation.closed_loop import Curve, Result
from mirage_jax.evaluation.metrics import statistics
from mirage_jax.evaluation.metrics.statistics import Interval
from mirage_jax.io import replaced


@dataclasses.dataclass(frozen=True)
class Comparison:
  """A pair of entrants whose paired differences stand in a table."""

  first: str
  second: str

  def __str__(self) -> str:
    """The pair's name in files."""
    return f'{self.first}{MINUS}{self.second}'


# Intervals by entrant (a name) or `Comparison`, and metric.
Table = dict[Any, dict[str, Interval]]
MINUS = ' minus '  # between the entrants of a pair, in files
MARGIN_DB = 0.1  # by which "no worse" may be missed
COLOURS = tuple(f'C{i}' for i in range(10))


def summarise(
  result: Result, models: Sequence[str], seed: int, ratios: Sequence[str] = ()
) -> Table:
  """Computes the intervals of a suite: every entrant, every pair of models.

  Args:
    result: of the suite.
    models: whose pairs are compared.
    seed: of the bootstrap.
    ratios: metrics whose paired differences come with the relative change
      `<metric>_change`, as Frechet distances do.
  """
  suite: Table = dict(statistics.summarise(result.values, seed))
  for name, intervals in result.intervals.items():
    suite.setdefault(name, {}).update(intervals)
  for name, figures in result.sampled.items():
    shown = {metric: figure.interval() for metric, figure in figures.items()}
    suite.setdefault(name, {}).update(shown)
  for first, second in combinations(models, 2):
    a, b = (result.values.get(name, {}) for name in (first, second))
    pair = {
      metric: statistics.paired_difference(a[metric], b[metric], seed)
      for metric in a
      if metric in b
    }
    for metric in [m for m in ratios if m in pair]:
      change = statistics.paired_ratio(a[metric], b[metric], seed)
      pair[f'{metric}_change'] = change
    ours, theirs = (result.sampled.get(name, {}) for name in (first, second))
    for metric in [m for m in ours if m in theirs]:
      pair[metric] = ours[metric].minus(theirs[metric])
      if ours[metric].positive:
        change = ours[metric].change_from(theirs[metric])
        pair[f'{metric}_change'] = change
    if pair:
      suite[Comparison(first, second)] = pair
  return suite


def write_text(path: str | os.PathLike, text: str) -> None:
  """Writes a text file atomically."""
  with replaced(path) as temporary:
    temporary.write_text(text, encoding='utf-8')


def write_metrics(
  path: str | os.PathLike, suites: Mapping[str, Table]
) -> dict[str, Table]:
  """Writes `metrics.json`; suites that are there already, and not given, stay.

  Returns:
    All that the file now holds.

  Raises:
    ValueError: when the file that is there is no metrics file.
  """
  path = pathlib.Path(path)
  kept = {}
  if path.exists():
    try:
      kept = read_metrics(path)
    except ValueError:
      raise ValueError(
        f'{path} is not a metrics file; move it away or give another --output'
      ) from None
  merged = {**kept, **suites}
  text = json.dumps(_finite(merged), indent=1, allow_nan=False)
  write_text(path, text + '\n')
  return merged


def read_metrics(path: str | os.PathLike) -> dict[str, Table]:
  """Reads what `write_metrics` wrote.

  Raises:
    ValueError: it is no JSON object of suites.
    OSError: it cannot be read.
  """
  suites = json.loads(pathlib.Path(path).read_text(encoding='utf-8'))
  try:
    return {
      suite: {_entrant(name): metrics for name, metrics in table.items()}
      for suite, table in suites.items()
    }
  except AttributeError:
    raise ValueError(f'{path} does not hold tables of suites') from None


def _entrant(name: str) -> str | Comparison:
  """The entrant or pair of a name in a file."""
  first, minus, second = name.partition(MINUS)
  return Comparison(first, second) if minus else name


def _finite(value):
  if isinstance(value, Mapping):
    return {str(k): _finite(v) for k, v in value.items()}
  if isinstance(value, float | np.floating):
    return float(value) if math.isfinite(value) else None
  return int(value) if isinstance(value, np.integer) else value


def format_interval(value: Interval) -> str:
  """`mean [low, high]`, or a dash where there is no value."""
  if value.get('mean') is None:
    return '-'
  mean, low, high = (value[k] for k in ('mean', 'low', 'high'))
  digits = 3 if abs(mean) < 10 else 2
  if abs(mean) >= 1000:
    digits = 0
  text = f'{mean:.{digits}f}'
  if low is None or low == high:
    return text
  return f'{text} [{low:.{digits}f}, {high:.{digits}f}]'


def markdown_table(suite: Table) -> str:
  """Markdown tables of a suite: players and then pairs, metrics across."""
  pairs = {k: x for k, x in suite.items() if isinstance(k, Comparison)}
  players = {k: x for k, x in suite.items() if k not in pairs}
  return '\n'.join(_table(part) for part in (players, pairs) if part)


def overview(
  suites: Mapping[str, Table], main: Mapping[str, Sequence[str]]
) -> str:
  """One Markdown table of all players, with the `main` metrics of suites."""
  joined: Table = {}
  for suite, metrics in main.items():
    for name, values in suites.get(suite, {}).items():
      shown = {f'{suite}: {m}': values[m] for m in metrics if m in values}
      if shown and not isinstance(name, Comparison):
        joined.setdefault(name, {}).update(shown)
  return _table(joined) if joined else ''


def _table(suite: Table) -> str:
  metrics = list(dict.fromkeys(m for x in suite.values() for m in x))
  lines = [
    '| | ' + ' | '.join(metrics) + ' |',
    '|---' * (len(metrics) + 1) + '|',
  ]
  for name, values in suite.items():
    cells = [format_interval(values.get(m, {})) for m in metrics]
    lines.append(f'| {name} | ' + ' | '.join(cells) + ' |')
  return '\n'.join(lines) + '\n'


def no_worse(suite: Table) -> list[str]:
  """States for each pair if its first model is no worse by `psnr_db`."""
  lines = []
  for name, metrics in suite.items():
    low = metrics.get('psnr_db', {}).get('low')
    if not isinstance(name, Comparison) or low is None:
      continue
    verdict = 'no worse' if low > -MARGIN_DB else 'not shown to be no worse'
    lines.append(
      f'{name}: {verdict} in psnr_db (lower bound {low:.2f} dB, margin '
      f'{-MARGIN_DB} dB)'
    )
  return lines


def headline(suite: Table) -> dict[str, dict[str, float | None]]:
  """The means of a suite, for one line of JSON."""
  return {
    str(name): {metric: value['mean'] for metric, value in metrics.items()}
    for name, metrics in suite.items()
  }


def plot_curve(path: str | os.PathLike, curve: Curve) -> None:
  """Plots the lines of all entrants."""
  figure = Figure(figsize=(7.5, 3.6), layout='constrained')
  axes = figure.subplots()
  for i, (name, (x, y)) in enumerate(curve.lines.items()):
    axes.plot(x, y, f'.{_line(i)}', color=_colour(i), label=name)
  axes.set(
    title=f'{curve.y_label} against {curve.x_label}',
    xlabel=curve.x_label,
    ylabel=curve.y_label,
  )
  axes.grid(alpha=0.3)
  if curve.lines:
    figure.legend(fontsize=8, frameon=False, loc='outside right upper')
  _save(path, figure)


def plot_scores(path: str | os.PathLike, suite: Table, metric: str) -> None:
  """Plots one metric of every player, with intervals."""
  shown = {
    name: x[metric]
    for name, x in suite.items()
    if metric in x
    and x[metric]['mean'] is not None
    and not isinstance(name, Comparison)
  }
  figure = Figure(figsize=(6, 0.8 + 0.4 * len(shown)), layout='constrained')
  axes = figure.subplots()
  for i, (name, value) in enumerate(shown.items()):
    ends = [
      [max(value['mean'] - value['low'], 0)],
      [max(value['high'] - value['mean'], 0)],
    ]
    axes.errorbar(
      value['mean'], name, xerr=ends, fmt='o', capsize=3, color=_colour(i)
    )
  axes.invert_yaxis()
  axes.set(xlabel=metric)
  axes.grid(alpha=0.3, axis='x')
  _save(path, figure)


def _colour(player: int) -> str:
  return COLOURS[player % len(COLOURS)]


def _line(player: int) -> str:
  return '-' if player < len(COLOURS) else '--'


def _save(path: str | os.PathLike, figure: Figure) -> None:
  with replaced(path) as temporary:
    figure.savefig(temporary, dpi=120, format='png')
