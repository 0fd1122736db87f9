"""What an evaluation leaves behind: metrics.json, tables, and plots."""

import json
import math
import os
import pathlib
from collections.abc import Mapping, Sequence
from itertools import combinations

import numpy as np
from matplotlib.figure import Figure

from mirage_jax.evaluation.closed_loop import Curve, Result
from mirage_jax.evaluation.metrics import statistics
from mirage_jax.evaluation.metrics.statistics import Interval
from mirage_jax.io import replaced

Suite = dict[str, dict[str, Interval]]
MARGIN_DB = 0.1
RATIOS = ('lpips', 'right')  # metrics that are compared as ratios too
COLOURS = tuple(f'C{i}' for i in range(10))


def summarise(result: Result, models: Sequence[str], seed: int) -> Suite:
  """Intervals of a suite: every player, and every pair of models.

  A pair is named `first minus second`; its metrics are paired differences,
  and those of `RATIOS` and of Frechet distances come with the relative change
  `<metric>_change`.
  """
  suite = statistics.summarise(result.values, seed)
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
    for metric in [m for m in pair if m.endswith(RATIOS)]:
      change = statistics.paired_ratio(a[metric], b[metric], seed)
      pair[f'{metric}_change'] = change
    ours, theirs = (result.sampled.get(name, {}) for name in (first, second))
    for metric in [m for m in ours if m in theirs]:
      pair[metric] = ours[metric].minus(theirs[metric])
      if metric.endswith('frechet'):  # others may be 0
        change = ours[metric].change_from(theirs[metric])
        pair[f'{metric}_change'] = change
    if pair:
      suite[f'{first} minus {second}'] = pair
  return suite


def write_text(path: str | os.PathLike, text: str) -> None:
  """Writes a text file atomically."""
  with replaced(path) as temporary:
    temporary.write_text(text, encoding='utf-8')


def write_metrics(
  path: str | os.PathLike, suites: Mapping[str, Suite]
) -> dict[str, Suite]:
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
      kept = dict(json.loads(path.read_text(encoding='utf-8')))
    except ValueError:
      raise ValueError(
        f'{path} is not a metrics file; move it away or give another --output'
      ) from None
  merged = {**kept, **{name: _finite(suite) for name, suite in suites.items()}}
  write_text(path, json.dumps(merged, indent=1, allow_nan=False) + '\n')
  return merged


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


def markdown_table(suite: Suite) -> str:
  """Markdown tables of a suite: players and then pairs, metrics across."""
  pairs = {name: x for name, x in suite.items() if ' minus ' in name}
  players = {name: x for name, x in suite.items() if name not in pairs}
  return '\n'.join(_table(part) for part in (players, pairs) if part)


def overview(
  suites: Mapping[str, Suite], main: Mapping[str, Sequence[str]]
) -> str:
  """One Markdown table of all players, with the `main` metrics of suites."""
  joined: Suite = {}
  for suite, metrics in main.items():
    for name, values in suites.get(suite, {}).items():
      shown = {f'{suite}: {m}': values[m] for m in metrics if m in values}
      if shown and ' minus ' not in name:
        joined.setdefault(name, {}).update(shown)
  return _table(joined) if joined else ''


def _table(suite: Suite) -> str:
  metrics = list(dict.fromkeys(m for x in suite.values() for m in x))
  lines = [
    '| | ' + ' | '.join(metrics) + ' |',
    '|---' * (len(metrics) + 1) + '|',
  ]
  for name, values in suite.items():
    cells = [format_interval(values.get(m, {})) for m in metrics]
    lines.append(f'| {name} | ' + ' | '.join(cells) + ' |')
  return '\n'.join(lines) + '\n'


def remarks(suite: Suite) -> list[str]:
  """Whether the first model of each pair is no worse, by the PSNR of all."""
  lines = []
  for name, metrics in suite.items():
    low = metrics.get('psnr_db', {}).get('low')
    if ' minus ' not in name or low is None:
      continue
    verdict = 'no worse' if low > -MARGIN_DB else 'not shown to be no worse'
    lines.append(
      f'{name}: {verdict} in psnr_db (lower bound {low:.2f} dB, margin '
      f'{-MARGIN_DB} dB)'
    )
  return lines


def headline(suite: Suite) -> dict[str, dict[str, float | None]]:
  """The means of a suite, for one line of JSON."""
  return {
    name: {metric: value['mean'] for metric, value in metrics.items()}
    for name, metrics in suite.items()
  }


def plot_curve(path: str | os.PathLike, title: str, curve: Curve) -> None:
  """Plots `y against x` of every player; the title names both axes."""
  y_name, _, x_name = title.partition(' against ')
  figure = Figure(figsize=(7.5, 3.6), layout='constrained')
  axes = figure.subplots()
  for i, (name, (x, y)) in enumerate(curve.items()):
    axes.plot(x, y, f'.{_line(i)}', color=_colour(i), label=name)
  axes.set(title=title, xlabel=x_name, ylabel=y_name)
  axes.grid(alpha=0.3)
  if curve:
    figure.legend(fontsize=8, frameon=False, loc='outside right upper')
  _save(path, figure)


def plot_scores(path: str | os.PathLike, suite: Suite, metric: str) -> None:
  """Plots one metric of every player, with intervals."""
  shown = {
    name: x[metric]
    for name, x in suite.items()
    if metric in x and x[metric]['mean'] is not None and ' minus ' not in name
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
