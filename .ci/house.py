"""Prints the shape of the tree and fails where it breaks a rule of the house.

  python .ci/house.py

The rules are the constants below; each line of a failure names the place, what
was found, and the limit.
"""

import ast
import collections
import pathlib
import re
import sys
from collections.abc import Iterator

ROOT = pathlib.Path(__file__).resolve().parents[1]
ROOMS = ('mirage_jax', 'launch', 'experiments', 'tests')

README_LINES = 250
FOLDER_MODULES = 18  # `__init__` aside
FUNCTION_LINES = 60
# Least share of arguments with a type, by folder.
TYPED = {
  'mirage_jax/memory': 0.57,
  'mirage_jax/models': 0.95,
  'mirage_jax/training': 0.95,
}
# The first word of a docstring is a verb or a noun, never one of these.
NO_FIRST_WORDS = ('What', 'Which', 'Whether', 'How', 'Who', 'Where')
GLOSSARY = 'docs/glossary.md'

Function = ast.FunctionDef | ast.AsyncFunctionDef


class Module:
  """One file of the tree, parsed.

  Attributes:
    path: relative to the root.
    lines: number of lines.
    tree: its syntax.
  """

  def __init__(self, path: pathlib.Path):
    text = path.read_text(encoding='utf-8')
    self.path = path.relative_to(ROOT)
    self.lines = len(text.splitlines())
    self.tree = ast.parse(text)

  def functions(self) -> Iterator[Function]:
    """Yields all functions, inner ones and methods included."""
    for node in ast.walk(self.tree):
      if isinstance(node, Function):
        yield node

  def documented(self) -> Iterator[tuple[str, int, str]]:
    """Yields name, line and docstring of the module and what it defines."""
    for node in ast.walk(self.tree):
      if isinstance(node, ast.Module | ast.ClassDef | Function):
        text = ast.get_docstring(node)
        if text:
          name = getattr(node, 'name', self.path.stem)
          yield name, getattr(node, 'lineno', 1), text

  def names(self) -> Iterator[tuple[str, int]]:
    """Yields public names that the module gives others, and their lines."""
    yield self.path.stem, 1
    for node in self.tree.body:
      yield from public(node)
      if isinstance(node, ast.ClassDef) and not node.name.startswith('_'):
        for member in node.body:
          yield from public(member)


def public(node: ast.stmt) -> Iterator[tuple[str, int]]:
  """Yields the public names that a statement defines, and their lines."""
  names = [getattr(node, 'name', '')]
  if isinstance(node, ast.Assign):
    names += [x.id for x in node.targets if isinstance(x, ast.Name)]
  if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
    names.append(node.target.id)
  for name in names:
    if name and not name.startswith('_'):
      yield name, node.lineno


def read(room: str) -> list[Module]:
  """Parses all modules of a room."""
  return [Module(path) for path in sorted((ROOT / room).rglob('*.py'))]


def length(function: Function) -> int:
  """Returns the lines of a function, its decorators left out."""
  return (function.end_lineno or function.lineno) - function.lineno + 1


def arguments(function: Function) -> list[ast.arg]:
  """Returns the arguments of a function but `self` and `cls`."""
  given = function.args
  every = [*given.posonlyargs, *given.args, *given.kwonlyargs]
  every += [x for x in (given.vararg, given.kwarg) if x]
  return [x for x in every if x.arg not in ('self', 'cls', '_')]


def typed(modules: list[Module]) -> float:
  """Returns the share of arguments that have a type."""
  every = [x for m in modules for f in m.functions() for x in arguments(f)]
  return sum(x.annotation is not None for x in every) / max(len(every), 1)


def quantile(values: list[int], share: float) -> int:
  """Returns the value below which a share of the others lies."""
  return sorted(values)[min(int(share * len(values)), len(values) - 1)]


def folders(modules: list[Module]) -> collections.Counter[str]:
  """Counts the modules of each folder."""
  return collections.Counter(
    str(m.path.parent) for m in modules if m.path.stem != '__init__'
  )


def print_report(room: str, modules: list[Module]) -> None:
  """Prints one line of figures of a room."""
  files = [m.lines for m in modules if m.path.stem != '__init__']
  long = [length(f) for m in modules for f in m.functions()]
  figures = [
    (len(files), 'files'),
    (quantile(files, 0.5), 'median'),
    (quantile(files, 0.9), 'p90'),
    (max(files), 'max lines;'),
    (len(long), 'functions'),
    (quantile(long, 0.5), 'median'),
    (quantile(long, 0.9), 'p90'),
    (max(long, default=0), 'max lines;'),
    (max(folders(modules).values()), 'modules in the largest folder;'),
  ]
  text = ' '.join(f'{value} {name}' for value, name in figures)
  print(f'{room}: {text} {typed(modules):.0%} of arguments typed')


def banned_words() -> dict[str, str]:
  """Reads the glossary's column `not`: its words, and the terms to use.

  Entries are divided by commas. Those in brackets are notes.
  """
  path = ROOT / GLOSSARY
  lines = path.read_text(encoding='utf-8').splitlines() if path.exists() else []
  words, column = {}, None
  for line in lines:
    cells = [x.strip() for x in line.strip().strip('|').split('|')]
    if not line.startswith('|'):
      column = None
    elif 'not' in (x.lower() for x in cells):
      column = [x.lower() for x in cells].index('not')
    elif column is not None and column < len(cells):
      plain = re.sub(r'\([^)]*\)|`', '', cells[column])
      found = ('_'.join(split(word)) for word in re.split('[,;]', plain))
      words |= {word: cells[0] for word in found if word}
  return words


def split(name: str) -> list[str]:
  """Splits a name into its words, in lower case."""
  apart = re.sub(r'(?<=[a-z0-9])(?=[A-Z])', '_', name)
  return re.findall(r'[a-z0-9]+', apart.lower())


def broken(rooms: dict[str, list[Module]]) -> Iterator[str]:
  """Yields one line for each rule that is broken."""
  modules = [module for room in rooms.values() for module in room]
  lines = len((ROOT / 'README.md').read_text(encoding='utf-8').splitlines())
  if lines > README_LINES:
    yield f'README.md: {lines} lines; at most {README_LINES}'
  for folder, count in folders(modules).items():
    if count > FOLDER_MODULES:
      yield f'{folder}: {count} modules; at most {FOLDER_MODULES}'
  for folder, least in TYPED.items():
    share = typed(read(folder))
    if share < least:
      yield f'{folder}: {share:.1%} of arguments typed; at least {least:.0%}'
  for module in modules:
    yield from broken_by(module)
  banned = banned_words()
  for module in (m for m in modules if m.path.parts[0] != 'tests'):
    for name, line in module.names():
      text = f'_{"_".join(split(name))}_'
      for word, term in banned.items():
        if f'_{word}_' in text:
          yield f'{module.path}:{line}: {name} has {word!r}; use {term}'


def broken_by(module: Module) -> Iterator[str]:
  """Yields one line for each rule that a module's own text breaks."""
  for function in module.functions():
    if length(function) > FUNCTION_LINES:
      yield (
        f'{module.path}:{function.lineno}: {function.name} has '
        f'{length(function)} lines; at most {FUNCTION_LINES}'
      )
  for name, line, text in module.documented():
    first = re.match(r'\w*', text)
    if first and first[0] in NO_FIRST_WORDS:
      yield (
        f'{module.path}:{line}: the docstring of {name} begins with '
        f'{first[0]!r}; begin with a verb, or a noun for a class'
      )


def main() -> int:
  """Prints the report and what is broken; returns 1 if anything is."""
  rooms = {room: read(room) for room in ROOMS}
  for room, modules in rooms.items():
    print_report(room, modules)
  failures = list(broken(rooms))
  for failure in failures:
    print(failure, file=sys.stderr)
  return 1 if failures else 0


if __name__ == '__main__':
  sys.exit(main())
