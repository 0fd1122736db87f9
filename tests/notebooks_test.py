"""Notebooks are short, clean, open in Colab, and run from top to bottom."""

import ast
import json
import pathlib
import re

import nbclient
import nbformat
import pytest
from IPython.core.inputtransformer2 import TransformerManager

ROOT = pathlib.Path(__file__).parents[1]
NOTEBOOKS = sorted((ROOT / 'notebooks').glob('*.ipynb'))
MOST_LINES = 10
COLAB = 'https://colab.research.google.com/'

every = pytest.mark.parametrize('path', NOTEBOOKS, ids=lambda path: path.stem)


def cells_of(path, kind='code'):
  cells = json.loads(path.read_text(encoding='utf-8'))['cells']
  return [cell for cell in cells if cell['cell_type'] == kind]


def colab_link(path) -> str:
  """The badge's link: to the notebook itself, if its home is known."""
  citation = (ROOT / 'CITATION.cff').read_text(encoding='utf-8')
  home = re.search(
    r"^repository-code: '?https://(github.com/\S+?)'?$", citation, re.MULTILINE
  )
  if home is None:
    return COLAB
  return f'{COLAB}{home[1]}/blob/main/notebooks/{path.name}'


def test_there_are_notebooks():
  assert [path.name[:2] for path in NOTEBOOKS] == ['01', '02', '03', '04', '05']


@every
def test_a_notebook_is_valid_and_written_in_one_way(path):
  text = path.read_text(encoding='utf-8')
  content = json.loads(text)
  nbformat.validate(nbformat.reads(text, as_version=4))
  assert (content['nbformat'], content['nbformat_minor']) == (4, 5)
  ids = [cell['id'] for cell in content['cells']]
  assert len(set(ids)) == len(ids)
  assert text == json.dumps(content, indent=1, ensure_ascii=False) + '\n'


@every
def test_nothing_that_ran_is_stored(path):
  for cell in cells_of(path):
    assert cell['outputs'] == [] and cell['execution_count'] is None


@every
def test_cells_are_short_and_parse(path):
  for cell in cells_of(path):
    assert 1 <= len(cell['source']) <= MOST_LINES, cell['id']
    source = ''.join(cell['source'])
    ast.parse(TransformerManager().transform_cell(source))


@every
def test_a_notebook_opens_in_colab(path):
  head = ''.join(cells_of(path, 'markdown')[0]['source'])
  assert re.search(r'^# \S', head, re.MULTILINE)
  assert f']({colab_link(path)})' in head
  install, devices = (''.join(x['source']) for x in cells_of(path)[:2])
  assert install == ''.join(cells_of(NOTEBOOKS[0])[0]['source'])
  assert '%pip install' in install and "'[tpu]' if tpu" in install
  assert 'jax.devices()' in devices


@every
@pytest.mark.slow
def test_a_notebook_runs(path, tmp_path, monkeypatch):
  monkeypatch.setenv('JAX_PLATFORMS', 'cpu')
  monkeypatch.setenv('PYTHONPATH', str(ROOT))
  monkeypatch.setenv('IPYTHONDIR', str(tmp_path / '.ipython'))
  notebook = nbformat.read(path, as_version=4)
  nbclient.NotebookClient(
    notebook,
    timeout=600,
    kernel_name='python3',
    resources={'metadata': {'path': str(tmp_path)}},
  ).execute()
