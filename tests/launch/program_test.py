import errno
import functools
import json
import os
import subprocess
import sys

import numpy as np
import pytest

from launch import program

PROGRAM = """
import errno
from absl import flags
from launch.program import run_program
seed = flags.DEFINE_integer('seed', 0, 'Seed.')
def main(argv):
  if seed.value == 1:
    raise ValueError('bad\\n thing; want good')
  if seed.value == 2:
    raise OSError(errno.ENOSPC, 'No space left on device', 'out.mp4')
  if seed.value == 3:
    raise KeyError('a bug')
  return {'seed': seed.value}
if __name__ == '__main__':
  run_program(main)
"""


CONFIGURED = """
from absl import flags
from ml_collections import config_flags
from launch.program import run_program
flags.DEFINE_integer('seed', 0, 'Seed.')
config = config_flags.DEFINE_config_file('config')
if __name__ == '__main__':
  run_program(lambda argv: {'steps': config.value.optimizer.steps})
"""
EXPERIMENT = """
import ml_collections
def get_config():
  return ml_collections.ConfigDict({'optimizer': {'steps': 3}})
"""


def run(tmp_path, *args, text=PROGRAM):
  path = tmp_path / 'program.py'
  path.write_text(text)
  return subprocess.run(
    [sys.executable, str(path), *args],
    capture_output=True,
    text=True,
    cwd=os.getcwd(),
    env={**os.environ, 'PYTHONPATH': os.getcwd()},
  )


def test_success_ends_in_one_line_of_json(tmp_path):
  done = run(tmp_path, '--seed=7')
  assert done.returncode == 0
  assert json.loads(done.stdout.splitlines()[-1]) == {'seed': 7}


@pytest.mark.parametrize(
  'seed, said', [(1, 'bad thing; want good'), (2, 'out.mp4: No space left')]
)
def test_bad_input_is_one_line(tmp_path, seed, said):
  done = run(tmp_path, f'--seed={seed}')
  assert done.returncode == 1
  assert done.stdout == ''
  (line,) = done.stderr.strip().splitlines()
  assert line.startswith('error: ') and said in line


def test_debug_and_bugs_keep_the_traceback(tmp_path):
  assert 'Traceback' in run(tmp_path, '--seed=1', '--debug').stderr
  bug = run(tmp_path, '--seed=3')
  assert 'Traceback' in bug.stderr and bug.returncode != 0


def test_help_succeeds_and_an_unknown_flag_fails(tmp_path):
  helped = run(tmp_path, '--help')
  assert helped.returncode == 0 and '--seed' in helped.stdout
  unknown = run(tmp_path, '--sede=1')
  assert unknown.returncode != 0 and 'sede' in unknown.stderr
  assert 'Traceback' not in unknown.stderr


def test_an_unknown_config_key_is_named(tmp_path):
  experiment = tmp_path / 'experiment.py'
  experiment.write_text(EXPERIMENT)
  config = f'--config={experiment}'
  run_it = functools.partial(run, tmp_path, config, text=CONFIGURED)
  done = run_it('--config.optimizer.steps=4')
  assert json.loads(done.stdout) == {'steps': 4}
  done = run_it('--config.optimizer.stpes=4')
  assert done.returncode == 1 and 'Traceback' not in done.stderr
  assert "unknown config key 'optimizer.stpes'" in done.stderr
  assert 'did you mean steps?' in done.stderr


def test_a_system_error_gets_a_way_out():
  error = OSError(errno.EACCES, 'Permission denied', '/x')
  assert program.one_line(error) == (
    '/x: Permission denied; check its permissions, or give another path'
  )
  assert 'check the path' in program.one_line(FileNotFoundError(2, 'No', 'y'))
  assert program.one_line(ValueError()) == 'ValueError'


def test_figures_become_valid_json(capsys):
  program.print_result(
    {'a': np.float32(0.5), 'b': float('nan'), 'c': [np.arange(2)], 4: 'd'}
  )
  printed = json.loads(capsys.readouterr().out)
  assert printed == {'a': 0.5, 'b': None, 'c': [[0, 1]], '4': 'd'}


ALLOCATING = """
import resource, sys
import numpy as np
from launch.program import keep_freed_memory

known = keep_freed_memory() if sys.argv[1] == 'keep' else True
faults = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(3):
  np.ones(2**24)
before = faults()
for _ in range(8):
  np.ones(2**24)
print(int(known), faults() - before)
"""


def page_faults(what):
  done = subprocess.run(
    [sys.executable, '-c', ALLOCATING, what], capture_output=True, check=True
  )
  return [int(x) for x in done.stdout.split()]


@pytest.mark.skipif(sys.platform != 'linux', reason='a call of glibc')
def test_pages_of_freed_arrays_are_not_asked_for_again():
  known, kept = page_faults('keep')
  if not known:
    pytest.skip('another C library')
  _, returned = page_faults('default')
  assert kept < 100 < 1000 < returned
