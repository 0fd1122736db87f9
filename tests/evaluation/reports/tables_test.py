import json

import numpy as np
import pytest

from mirage_jax.evaluation import closed_loop
from mirage_jax.evaluation.closed_loop import Result
from mirage_jax.evaluation.reports import tables


def result():
  rng = np.random.default_rng(0)
  base = rng.normal(20, 3, 32)
  found = Result()
  found.add('memory', {'psnr_db': base + 4, 'lpips': 0.1 + 0.001 * base})
  found.add('window', {'psnr_db': base, 'lpips': 0.2 + 0.002 * base})
  found.add('frozen', {'psnr_db': np.full(32, np.nan)})
  found.intervals['memory'] = {
    'kid': {'mean': 0.1, 'low': 0.0, 'high': 0.2, 'n': 32}
  }
  return found


def test_a_pair_has_its_difference_and_its_relative_change():
  suite = tables.summarise(result(), ['memory', 'window'], 0, ['lpips'])
  pair = suite[tables.Comparison('memory', 'window')]
  assert pair['psnr_db']['mean'] == pytest.approx(4)
  assert pair['lpips_change']['mean'] == pytest.approx(-0.5)
  assert suite['memory']['kid']['n'] == 32


def test_metrics_json_has_the_agreed_form(tmp_path):
  path = tmp_path / 'out' / 'metrics.json'
  suite = tables.summarise(result(), ['memory', 'window'], 0, ['lpips'])
  tables.write_metrics(path, {'closed_loop': suite})
  read = json.loads(path.read_text())
  assert 'memory minus window' in read['closed_loop']
  assert tables.read_metrics(path)['closed_loop'].keys() == suite.keys()
  for metrics in read['closed_loop'].values():
    for value in metrics.values():
      assert set(value) == {'mean', 'low', 'high', 'n'}
  assert read['closed_loop']['frozen']['psnr_db']['mean'] is None


def test_other_suites_stay_and_the_same_suite_is_replaced(tmp_path):
  path = tmp_path / 'metrics.json'
  one = {'a': {'x': {'mean': 1.0, 'low': 1.0, 'high': np.inf, 'n': 1}}}
  tables.write_metrics(path, {'first': one})
  tables.write_metrics(path, {'second': one, 'first': {}})
  read = json.loads(path.read_text())
  assert read['first'] == {} and read['second']['a']['x']['high'] is None
  assert [p.name for p in tmp_path.iterdir()] == ['metrics.json']


def test_a_foreign_file_is_refused_and_kept(tmp_path):
  path = tmp_path / 'metrics.json'
  path.write_text('no json')
  with pytest.raises(ValueError, match='not a metrics file'):
    tables.write_metrics(path, {'first': {}})
  assert path.read_text() == 'no json'


def test_the_overview_has_the_main_figures_of_all_suites():
  suite = tables.summarise(result(), ['memory', 'window'], 0, ['lpips'])
  suites = {'loop': suite, 'cost': {'grid': {'bytes': suite['memory']['kid']}}}
  main = {'cost': ['bytes', 'ms'], 'loop': ['kid'], 'absent': ['x']}
  lines = tables.overview(suites, main).splitlines()
  assert lines[0] == '| | cost: bytes | loop: kid |'
  assert [line.split(' | ')[0] for line in lines[2:]] == ['| grid', '| memory']
  assert lines[3].endswith('| - | 0.100 [0.000, 0.200] |')
  assert tables.overview({}, main) == ''


def test_the_table_has_a_row_a_player_and_dashes_for_nothing():
  suite = tables.summarise(result(), ['memory', 'window'], 0, ['lpips'])
  lines = tables.markdown_table(suite).splitlines()
  rows = [x for x in lines if x.startswith('|') and not x.startswith('| |')]
  assert len([x for x in rows if '---' not in x]) == len(suite)
  assert all(x.count('|') == lines[0].count('|') for x in rows[:4])
  frozen = next(line for line in lines if line.startswith('| frozen'))
  assert frozen.count('| - ') == frozen.count('|') - 2


def test_no_worse_is_a_matter_of_the_lower_bound():
  suite = tables.summarise(result(), ['memory', 'window'], 0, ['lpips'])
  (line,) = tables.no_worse(suite)
  assert 'memory minus window: no worse' in line
  suite = tables.summarise(result(), ['window', 'memory'], seed=0)
  assert 'not shown' in tables.no_worse(suite)[0]


def test_plots_are_pictures(tmp_path):
  lines = {'memory': (np.arange(4), np.arange(4.0))}
  curve = closed_loop.Curve('psnr_db', 'age', lines)
  tables.plot_curve(tmp_path / 'a.png', curve)
  suite = tables.summarise(result(), ['memory', 'window'], 0, ['lpips'])
  tables.plot_scores(tmp_path / 'b.png', suite, 'psnr_db')
  for name in ('a.png', 'b.png'):
    assert (tmp_path / name).read_bytes()[:4] == b'\x89PNG'
