"""Runs the commands of README, docs and programs as processes, made small.

Each is run as it is written, in a folder that looks like a clone: FOLDER is a
recording, and every checkpoint that a command names is there, untrained. Only
where it writes is changed, and flags that make it small are added.
"""

import ast
import importlib
import json
import os
import pathlib
import re
import shlex
import shutil
import subprocess
import sys
from typing import Any

import jax
import pytest

from experiments import smoke
from mirage_jax import build, worlds
from mirage_jax.data.readers import recordings
from mirage_jax.models.world_model import init_params
from mirage_jax.runs import export
from tests.capture import colmap_test

ROOT = pathlib.Path(__file__).parents[2]
# One process: they share models, and compile for the cache of the others.
pytestmark = pytest.mark.xdist_group('commands')
PAGES = [ROOT / 'README.md', *sorted((ROOT / 'docs').glob('**/*.md'))]
PROGRAMS = sorted(
  x.stem
  for x in (ROOT / 'launch').glob('*.py')
  if 'run_program(main)' in x.read_text(encoding='utf-8')
)
# `.ci/run` runs those that name the environment's own Python as they stand.
START = re.compile(r'(?:[A-Z_]+=\S+ )*python -m launch\.[a-z]')
WRITTEN = ('output', 'workdir', 'data_dir')
# Not run here: what it would take, and what covers it.
SKIPPED = {
  '--rows=bench': 'nine memories to compile; tests/profiling/cases_test.py',
}
# Each of these compiles a training step; run by `pytest -m weekly`.
WEEKLY = ('launch.benchmark', 'bench.py', 'finetune', 'rooms_tiny', 'restarts')


def differences(small: dict, large: dict, prefix: str) -> list[str]:
  """The flags that give the `large` config the values of the `small` one."""
  flags = []
  for key in small.keys() & large.keys():
    if isinstance(small[key], dict):
      flags += differences(small[key], large[key], f'{prefix}.{key}')
    elif small[key] != large[key] and key != 'kind':
      flags.append(f'{prefix}.{key}={small[key]}')
  return sorted(flags)


def small_flags(config: str) -> list[str]:
  """The flags that give an experiment the sizes of `smoke`, and two steps."""
  path, _, argument = config.partition(':')
  experiment = importlib.import_module(f'experiments.{pathlib.Path(path).stem}')
  large = experiment.get_config(*([argument] if argument else []))
  small = differences(smoke.get_config().to_dict(), large.to_dict(), '--config')
  steps = '--config.train.steps=2', '--config.optimizer.warmup=1'
  return [*small, *steps, '--config.train.image_every=2']


SMALLER = {
  'train': [],
  'pods.restarts': [],
  'compile': ['--topology=here'],
  # Its other rows: tests/profiling/cases_test.py.
  'benchmark': ['--small', '--repeats=1', '--rows=sample'],
  'evaluate': [
    *('--episodes=1', '--batch=1', '--frames=12', '--observed=4'),
    *('--videos=1', '--steps=1', '--stride=1'),
  ],
  'ingest': ['--every=1', '--fit_steps=4'],
  'prepare': [
    *('--clips=1', '--test_clips=1', '--frames=3', '--height=8'),
    *('--width=8', '--rays_per_pixel=1'),
  ],
  'release': [],
  'sample': ['--scenes=1', '--chunks=1', '--observed=4', '--steps=1'],
}


def commands_in(text: str) -> list[str]:
  """The commands of a page or a docstring, each in one line."""
  text = text.replace('\\\n', ' ')
  found = re.findall(r'`([^`]*)`', re.sub(r'```\w*', '', text))
  lines = text.splitlines()
  for i, line in enumerate(lines):
    indent = len(line) - len(line.lstrip())
    more = [line]
    for following in lines[i + 1 :]:
      if not following.strip().startswith(('--', '[--')):
        break
      more.append(following)
    if indent >= 2 or line.startswith('python'):
      found.append(' '.join(more))
  words = (' '.join(x.strip().rstrip('&').split()) for x in found)
  plain = (re.sub(r'[\[\]]', '', x) for x in words if START.match(x))
  return list(dict.fromkeys(plain))


def collect() -> list[str]:
  """All commands; each suite is asked once of a source, in one process."""
  texts = [page.read_text(encoding='utf-8') for page in PAGES]
  for name in [*PROGRAMS, 'pods.restarts']:
    file = ROOT / 'launch' / f'{name.replace(".", "/")}.py'
    program = ast.parse(file.read_text(encoding='utf-8'))
    texts.append(ast.get_docstring(program) or '')
  others, suites, asking = {}, {}, {}
  for command in commands_in('\n\n'.join(texts)):
    if 'launch.evaluate' not in command:
      others.setdefault(meaning(command), command)
      continue
    for source in value_of('source', command, 'rooms').split(','):
      asked = value_of('suite', command, '').split(',')
      suites.setdefault(source, {}).update(dict.fromkeys(asked))
      if source not in asking or '--checkpoint' in command:
        asking[source] = command
  for source, command in asking.items():
    plain = re.sub(r' --(suite|source)=\S+', '', command)
    asked = ','.join(suites[source])
    others[source] = f'{plain} --suite={asked} --source={source}'
  return list(others.values())


def value_of(flag: str, command: str, default: str) -> str:
  """The value of a flag in a command."""
  found = re.search(rf'--{flag}=(\S+)', command)
  return found[1] if found else default


def meaning(command: str) -> str:
  """The command without what it is run without, or what it says anyway."""
  command = command.replace('--path=', '--camera_path=')
  command = command.replace('--rows=worlds,memory,train,sample', '')
  command = re.sub(
    r'--(output|workdir|data_dir|repeats|checkpoint)=\S+', '', command
  )
  return ' '.join(sorted(command.split()))


def name_of(command: str) -> str:
  """The program, and what tells commands of one program apart."""
  program = re.search(r'launch\.([\w.]+)', command)
  told = re.findall(r'--(?:suite|source|input|config|rows)=(\S+)', command)
  return '-'.join([program[1], *told]).replace('/', '.')


@pytest.fixture(scope='session')
def models(tmp_path_factory):
  """Untrained models of the smallest experiment, with a memory and without."""
  folder = tmp_path_factory.mktemp('models')
  for kind in ('view_grid', 'none'):
    config = smoke.get_config()
    config.memory.kind = kind
    size = config.source.height, config.source.width
    model = build.make_model(config.to_dict())
    params = init_params(model, jax.random.key(0), *size)
    about = export.Released(params, config.to_dict(), 'none', 0, 0)
    export.export(folder / kind, about)
  return folder


@pytest.fixture(scope='session')
def recording(tmp_path_factory):
  """A walk through a room, in the layout of nerfstudio."""
  config = worlds.WorldConfig(
    frames=24, height=32, width=32, rays_per_pixel=1, paths=('out_and_back',)
  )
  clip = worlds.make_clip(jax.random.key(5), config)
  folder = tmp_path_factory.mktemp('recordings') / 'FOLDER'
  recordings.write_clip(clip, folder)
  return folder


@pytest.fixture
def clone(tmp_path, recording):
  """A folder in which commands find what they would in a clone."""
  for name in ('experiments', 'launch', 'mirage_jax', 'results'):
    (tmp_path / name).symlink_to(ROOT / name)
  (tmp_path / 'FOLDER').symlink_to(recording)
  return tmp_path


def prepared(command: str, clone: pathlib.Path, models: pathlib.Path):
  """Environment and arguments of a command; makes its checkpoints."""
  given = shlex.split(command)
  at = next(i for i, word in enumerate(given) if word.endswith('python'))
  environment = dict(word.split('=', 1) for word in given[:at])
  program = given[at + 2].removeprefix('launch.')
  arguments, smaller = [], []
  for word in given[at + 3 :]:
    flag, _, value = word.partition('=')
    if flag.removeprefix('--') in WRITTEN:
      word = f'{flag}=written/{program}{pathlib.PurePath(value).suffix}'
    if flag in ('--checkpoint', '--config.train.base'):
      names = value.split(',')[:2]
      for name in names:
        kind = 'none' if name.endswith(('window', 'base')) else 'view_grid'
        shutil.copytree(models / kind, clone / name, dirs_exist_ok=True)
      word = f'{flag}={",".join(names)}'
    if flag == '--config':
      smaller = small_flags(value)
    arguments.append(re.sub(r'=N$', '=1', word))
  if program == 'evaluate':
    arguments.append('--output=written/evaluate')
  if '--input=walk.mp4' in arguments:
    pytest.importorskip('pycolmap')
    photos = colmap_test.photos(colmap_test.true_poses())
    colmap_test.write_video(clone / 'walk.mp4', photos)
  (clone / 'written').mkdir()
  process = [sys.executable, '-m', f'launch.{program}']
  return environment, [*process, *arguments, *smaller, *SMALLER[program]]


def test_every_program_has_a_command_and_can_be_made_small():
  told = {re.search(r'launch\.([\w.]+)', x)[1] for x in collect()}
  assert told == set(SMALLER) == {*PROGRAMS, 'pods.restarts'}


def test_commands_are_read_off_pages_and_docstrings():
  page = """Text `python -m launch.a --x=1
  --y` and `launch.a`, and

      A=1 python -m launch.b --z=2 \\
        --w

  ```bash
  .venv/bin/python -m launch.d
  ```
      python -m launch.c [--v]
  """
  assert commands_in(page) == [
    'python -m launch.a --x=1 --y',
    'A=1 python -m launch.b --z=2 --w',
    'python -m launch.c --v',
  ]


def marked(command: str) -> Any:
  """The command, to be run by the slow stage, unless it is a weekly one."""
  weekly = any(words in command for words in WEEKLY) and (
    'launch.evaluate' not in command and 'launch.sample' not in command
  )
  marks = [pytest.mark.slow, *([pytest.mark.weekly] if weekly else [])]
  return pytest.param(command, marks=marks, id=name_of(command))


@pytest.mark.parametrize('command', [marked(x) for x in collect()])
def test_a_command_ends_in_one_line_of_figures(command, clone, models):
  for words, reason in SKIPPED.items():
    if words in command:
      pytest.skip(reason)
  if 'doom' in command:
    pytest.importorskip('vizdoom')
  environment, arguments = prepared(command, clone, models)
  done = subprocess.run(
    arguments,
    cwd=clone,
    env=os.environ | {'JAX_PLATFORMS': 'cpu'} | environment,
    capture_output=True,
    text=True,
    timeout=600,
  )
  assert done.returncode == 0, f'{shlex.join(arguments)}\n{done.stderr}'
  assert isinstance(json.loads(done.stdout.splitlines()[-1]), dict)
