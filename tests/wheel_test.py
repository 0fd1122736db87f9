"""A wheel holds all that is needed, away from the repository."""

import os
import pathlib
import shutil
import subprocess
import sys
import zipfile

import pytest

ROOT = pathlib.Path(__file__).parents[1]
PACKAGES = ('mirage_jax', 'experiments', 'launch')  # the last two stay out
ABOUT = ('setup.py', 'pyproject.toml', 'README.md', 'LICENSE')
LEFT_OUT = shutil.ignore_patterns('__pycache__', '*.pyc', '.*')

USE = """
import mirage_jax

assert mirage_jax.__file__.startswith(SITE), mirage_jax.__file__
clip = mirage_jax.open_source('rooms', split='test', height=64, width=64)[0]
world = mirage_jax.World(mirage_jax.load_pretrained('mirage-s'))
world.observe(mirage_jax.take_frames(clip, slice(16)))
rest = mirage_jax.take_frames(clip, slice(16, 18))
print(len([frame.rgb for frame in world.walk(rest.cameras)]), 'frames')
"""


def run(*command, **options) -> str:
  done = subprocess.run(command, capture_output=True, text=True, **options)
  assert done.returncode == 0, done.stdout + done.stderr
  return done.stdout


@pytest.fixture(scope='module')
def wheel(tmp_path_factory) -> pathlib.Path:
  """Built from a copy: what an earlier build left behind is not in it."""
  folder = tmp_path_factory.mktemp('wheel')
  for name in PACKAGES:
    shutil.copytree(ROOT / name, folder / 'copy' / name, ignore=LEFT_OUT)
  for name in ABOUT:
    shutil.copy(ROOT / name, folder / 'copy')
  pip = sys.executable, '-m', 'pip', 'wheel', '--quiet', '--no-deps'
  run(*pip, f'--wheel-dir={folder}', str(folder / 'copy'))
  (made,) = folder.glob('*.whl')
  return made


@pytest.mark.slow
def test_a_wheel_has_every_file_of_the_package_and_no_other(wheel):
  held = set(zipfile.ZipFile(wheel).namelist())
  copy = wheel.parent / 'copy'
  files = (x for x in (copy / 'mirage_jax').rglob('*') if x.is_file())
  due = {x.relative_to(copy).as_posix() for x in files}
  assert len(due) > 100 and due <= held, due - held
  others = {name.split('/')[0] for name in held - due}
  assert len(others) == 1 and others.pop().endswith('.dist-info'), others


@pytest.mark.slow
def test_an_editable_install_finds_the_programs(wheel):
  """It is one line that goes on the path: the clone."""
  folder, copy = wheel.parent / 'editable', wheel.parent / 'copy'
  install = sys.executable, '-m', 'pip', 'install', '--quiet', '--no-deps'
  run(*install, f'--target={folder}', '-e', str(copy))
  (line,) = folder.glob('*.pth')
  assert pathlib.Path(line.read_text().strip()).samefile(copy)


@pytest.mark.slow
def test_an_installed_wheel_generates_in_an_empty_folder(wheel, tmp_path):
  site, empty = tmp_path / 'site', tmp_path / 'empty'
  empty.mkdir()
  install = sys.executable, '-m', 'pip', 'install', '--quiet', '--no-deps'
  run(*install, f'--target={site}', str(wheel))
  environment = os.environ | {'PYTHONPATH': str(site), 'JAX_PLATFORMS': 'cpu'}
  use = USE.replace('SITE', repr(str(site)))
  printed = run(sys.executable, '-c', use, cwd=empty, env=environment)
  assert printed.splitlines()[-1] == '2 frames'
  assert list(empty.iterdir()) == []
