"""Laws of a run's folder: one writer, one experiment, whole files."""

import errno
import fcntl
import multiprocessing
import os
import pathlib

import pytest

from mirage_jax.runs import workdirs

CONFIG = {'seed': 0, 'train': {'steps': 4, 'ema': 0.9}, 'memory': {'m': (1, 2)}}


def test_a_folder_belongs_to_its_experiment(tmp_path):
  workdirs.own(tmp_path, CONFIG)
  workdirs.own(tmp_path, CONFIG)
  assert workdirs.read_config(tmp_path) == CONFIG


@pytest.mark.parametrize('schedule, free', [('constant', 1), ('cosine', 0)])
def test_the_end_of_a_constant_schedule_may_change(schedule, free):
  old = {'optimizer': {'schedule': schedule, 'steps': 10}}
  new = {'optimizer': {'schedule': schedule, 'steps': 20}}
  assert (workdirs.config_difference(old, new) is None) == bool(free)


@pytest.mark.parametrize('field', sorted(workdirs.FREE_FIELDS))
def test_fields_that_change_no_bit_may_change(tmp_path, field):
  section, name = field.split('.')
  workdirs.own(tmp_path, CONFIG)
  other = CONFIG | {section: CONFIG.get(section, {}) | {name: 9}}
  workdirs.own(tmp_path, other)
  assert workdirs.read_config(tmp_path)[section][name] == 9


@pytest.mark.parametrize(
  'change, words',
  [
    ({'seed': 1}, 'seed is 0 there and 1 here; pass --config.seed=0'),
    ({'train': {'steps': 4, 'ema': 0.5}}, 'train.ema is 0.9 there and 0.5'),
    ({'memory': {'m': (1, 3)}}, 'memory.m is [1, 2] there and [1, 3] here'),
    ({'new': 2}, "new is 'absent' there and 2 here"),
    ({'memory': {}}, "memory.m is [1, 2] there and 'absent' here"),
  ],
)
def test_the_first_other_field_is_named(tmp_path, change, words):
  workdirs.own(tmp_path, CONFIG)
  before = (tmp_path / 'config.json').read_text()
  with pytest.raises(
    ValueError, match='belongs to another experiment'
  ) as error:
    workdirs.own(tmp_path, CONFIG | change)
  assert words in str(error.value) and '--workdir' in str(error.value)
  assert (tmp_path / 'config.json').read_text() == before


def hold(folder, ready, done):
  with workdirs.lock(folder):
    ready.set()
    done.wait(60)


def test_two_writers_are_refused_and_a_killed_one_lets_go(tmp_path):
  context = multiprocessing.get_context('spawn')
  ready, done = context.Event(), context.Event()
  holder = context.Process(target=hold, args=(tmp_path, ready, done))
  holder.start()
  try:
    assert ready.wait(60)
    words = f'in use by process {holder.pid};'
    with pytest.raises(ValueError, match=words), workdirs.lock(tmp_path):
      pass
  finally:
    holder.kill()
    holder.join()
  with workdirs.lock(tmp_path):
    assert (tmp_path / '.lock').read_text() == f'{os.getpid()}\n'


def refuse(monkeypatch, number):
  def flock(*_):
    raise OSError(number, os.strerror(number))

  monkeypatch.setattr(fcntl, 'flock', flock)


@pytest.mark.parametrize('number', sorted(set(workdirs.NO_LOCKS)))
def test_without_locks_the_user_is_told_to_take_care(
  tmp_path, monkeypatch, number
):
  refuse(monkeypatch, number)
  said = []
  with workdirs.lock(tmp_path, said.append):
    assert (tmp_path / '.lock').read_text() == f'{os.getpid()}\n'
  assert len(said) == 1
  assert os.strerror(number) in said[0] and 'no other run' in said[0]


def test_a_lock_that_fails_is_not_one_that_is_held(tmp_path, monkeypatch):
  refuse(monkeypatch, errno.EIO)
  with (
    pytest.raises(OSError, match=r'cannot lock .*use another --workdir'),
    workdirs.lock(tmp_path),
  ):
    pass


def test_a_missing_or_damaged_config_is_named(tmp_path):
  with pytest.raises(FileNotFoundError, match=r'config.json is missing'):
    workdirs.read_config(tmp_path)
  (tmp_path / 'config.json').write_text('{"seed"')
  with pytest.raises(ValueError, match=r'config.json is damaged'):
    workdirs.read_config(tmp_path)


def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
  path = tmp_path / 'a.json'
  workdirs.write_text(path, 'old')

  def full(self, *_, **__):
    with open(self, 'w') as file:
      file.write('n')
    raise OSError(28, 'No space left on device')

  monkeypatch.setattr(pathlib.Path, 'write_text', full)
  with pytest.raises(OSError):
    workdirs.write_text(path, 'new')
  assert [p.name for p in tmp_path.iterdir()] == ['a.json']
  assert path.read_text() == 'old'


def test_the_code_that_trained_is_noted_once(tmp_path):
  assert workdirs.read_commit(tmp_path) == 'unknown'
  for commit in ('a', 'a', 'b+'):
    workdirs.note_commit(tmp_path, commit)
  assert (tmp_path / 'commits').read_text() == 'a\nb+\n'
  assert workdirs.read_commit(tmp_path) == 'b+'
