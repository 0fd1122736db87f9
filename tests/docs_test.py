"""The pages hold what the results hold, and their links lead somewhere."""

import importlib.util
import json
import pathlib
import re

import pytest

ROOT = pathlib.Path(__file__).parent.parent
PAGES = [ROOT / 'README.md', *sorted((ROOT / 'docs').glob('*.md'))]


def load_tables():
  """The program that writes tables; docs/ is no package."""
  spec = importlib.util.spec_from_file_location(
    'tables', ROOT / 'docs/tables.py'
  )
  assert spec is not None and spec.loader is not None
  module = importlib.util.module_from_spec(spec)
  spec.loader.exec_module(module)
  return module


TABLES = load_tables()


@pytest.mark.parametrize('page', PAGES, ids=lambda page: page.stem)
def test_tables_hold_the_figures_of_the_results(page):
  text = page.read_text()
  assert TABLES.rewrite(text) == text, 'run: python docs/tables.py'


@pytest.mark.parametrize('page', PAGES, ids=lambda page: page.stem)
def test_no_cell_of_a_generated_table_is_empty_by_mistake(page):
  for found in TABLES.TABLE.finditer(page.read_text()):
    rows = found[3].splitlines()
    assert len(rows) > 2
    for column in zip(*(row.split('|') for row in rows[2:]), strict=True):
      assert set(map(str.strip, column)) != {TABLES.MISSING}


def test_a_changed_figure_is_noticed(tmp_path, monkeypatch):
  figures = {
    'suite': {'model': {'psnr_db': {'mean': 30, 'low': 1, 'high': 40}}}
  }
  (tmp_path / 'x.json').write_text(json.dumps(figures))
  monkeypatch.setattr(TABLES, 'RESULTS', tmp_path)
  spec = {
    'file': 'x.json',
    'columns': {'dB': ['suite/{row}/psnr_db', 1]},
    'rows': {'mine': 'model'},
  }
  page = (
    f'<!-- table {json.dumps(spec)} -->\n| | dB |\n|---|---|\n| mine | 29 |\n'
  )
  made = TABLES.rewrite(page)
  assert made != page
  assert '| mine | 30.0 [1.0, 40.0] |' in made
  assert TABLES.rewrite(made) == made


@pytest.mark.parametrize('page', PAGES, ids=lambda page: page.stem)
def test_links_lead_to_files_and_headings(page):
  text = re.sub(r'```.*?```', '', page.read_text(), flags=re.DOTALL)
  for target in re.findall(r'\]\(([^)\s]+)\)', text):
    if '://' in target:
      continue
    name, _, heading = target.partition('#')
    path = (page.parent / name) if name else page
    assert path.exists(), f'{page.name}: {target}'
    if heading:
      titles = re.findall(r'^#+ (.+)$', path.read_text(), re.MULTILINE)
      slugs = {
        re.sub(r'[^\w\- ]', '', t.lower()).replace(' ', '-') for t in titles
      }
      assert heading in slugs, f'{page.name}: {target}'


@pytest.mark.parametrize('page', PAGES, ids=lambda page: page.stem)
def test_files_that_a_page_names_exist(page):
  text = page.read_text()
  names = re.findall(
    r'`((?:mirage_jax|launch|experiments|tests|docs|notebooks|results)/[\w./-]+)`',
    text,
  )
  for name in names:
    if re.search(r'/[A-Z]+\b', name) and not name.endswith('README.md'):
      continue  # a placeholder such as experiments/X.py
    assert (ROOT / name).exists(), f'{page.name}: {name}'


def test_the_readme_is_short():
  assert len((ROOT / 'README.md').read_text().splitlines()) <= 250
