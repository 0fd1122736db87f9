"""Writes the result tables of the pages from the figures in `results/`.

  python docs/tables.py

A page says in a comment which figures a table has; the lines below it, down to
the next empty line, are rewritten:

  <!-- table {"file": "closed_loop/metrics.json",
    "columns": {"PSNR, dB": ["closed_loop/{row}/returned_psnr_db", 1]},
    "rows": {"with memory": "rooms_tiny"}} -->

`file` is relative to `results/`; a row that is a pair names its own file first.
A column is the path of its figures in the JSON file, the digits to print, and
optionally `mean` (no interval), `percent`, or a factor.
"""

import json
import pathlib
import re
import sys
from collections.abc import Mapping
from typing import Any

ROOT = pathlib.Path(__file__).resolve().parent.parent
RESULTS = ROOT / 'results'
MISSING = '-'
# The specification, then the table that it made before, if any.
TABLE = re.compile(r'(<!-- table (\{.*?\}) -->\n)((?:\|[^\n]*\n)*)', re.DOTALL)


def pages() -> list[pathlib.Path]:
  """Lists the pages that may hold tables."""
  return [ROOT / 'README.md', *sorted((ROOT / 'docs').glob('*.md'))]


def rewrite(text: str) -> str:
  """Returns a page's text with every table made anew from its figures.

  Raises:
    ValueError: a table without a first column of rows or with a bad path.
  """
  return TABLE.sub(lambda found: found[1] + render(json.loads(found[2])), text)


def render(table: Mapping[str, Any]) -> str:
  """Formats one table as Markdown; see the module's docstring."""
  columns = table['columns']
  lines = ['| ' + ' | '.join([table.get('corner', ''), *columns]) + ' |']
  lines.append('|' + '---|' * (len(columns) + 1))
  for label, row in table['rows'].items():
    file, name = row if isinstance(row, list) else (table['file'], row)
    figures = json.loads((RESULTS / file).read_text(encoding='utf-8'))
    cells = [
      _format(_find(figures, path.format(row=name)), *form)
      for path, *form in columns.values()
    ]
    lines.append('| ' + ' | '.join([label, *cells]) + ' |')
  return '\n'.join(lines) + '\n'


def _find(figures: Any, path: str) -> Any:
  """Follows a path of keys and indices; None where a figure is missing."""
  for key in path.split('/'):
    if isinstance(figures, list):
      figures = figures[int(key)]
    elif isinstance(figures, Mapping) and key in figures:
      figures = figures[key]
    else:
      return None
  return figures


def _format(figure: Any, digits: int, *options: str | float) -> str:
  """Formats a number, or a mean or median with its interval."""
  if figure is None:
    return MISSING
  percent = 'percent' in options
  factors = [x for x in options if not isinstance(x, str)]
  factor = 100.0 if percent else next(iter(factors), 1.0)
  sign = ' %' if percent else ''

  def number(value: float | None) -> str:
    if value is None:
      return MISSING
    text = f'{factor * value:.{digits}f}'
    return text if float(text) else text.removeprefix('-')  # no minus zero

  if not isinstance(figure, Mapping):
    return number(figure) + sign
  value = figure.get('mean', figure.get('median'))
  if value is None:
    return MISSING
  middle = number(value) + sign
  if 'mean' in options:
    return middle
  return f'{middle} [{number(figure["low"])}, {number(figure["high"])}]'


def main() -> None:
  """Rewrites all pages and prints those that changed."""
  for page in pages():
    text = page.read_text(encoding='utf-8')
    made = rewrite(text)
    if made != text:
      page.write_text(made, encoding='utf-8')
      print(page.relative_to(ROOT))


if __name__ == '__main__':
  sys.exit(main())
