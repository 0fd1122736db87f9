"""Sources: clips by index, whatever they come from.

A source has a length, and `source[i]` is a `Clip` of NumPy arrays. All clips
of a source have the same shape.
"""

import inspect
import pathlib
from collections.abc import Set

from mirage_jax.data.folder_source import FolderSource
from mirage_jax.data.world_source import WorldSource
from mirage_jax.worlds.config import KINDS, WorldConfig

__all__ = ['FolderSource', 'WorldSource', 'open_source']


def open_source(name: str, **options):
  """Opens `'rooms'`, `'streets'` or a folder.

  Args:
    name: a kind of world, a folder with a `transforms.json`, or the folder of a
      prepared dataset.
    **options: of the source; for worlds also the fields of `WorldConfig`.

  Raises:
    ValueError: an unknown name or option.
  """
  if name in KINDS:
    own = inspect.signature(WorldSource).parameters.keys() - {'config'}
    fields = WorldConfig.__dataclass_fields__.keys() - {'kind'}
    _check_options(name, options, own | fields)
    config = {k: v for k, v in options.items() if k in fields}
    other = {k: v for k, v in options.items() if k in own}
    return WorldSource(WorldConfig(kind=name, **config), **other)
  path = pathlib.Path(name)
  if path.name == 'transforms.json' or (path / 'transforms.json').is_file():
    own = inspect.signature(FolderSource).parameters.keys() - {'path'}
    _check_options(name, options, own)
    return FolderSource(name, **options)
  if path.is_dir():
    # Imported where it is needed: it takes half a second.
    from mirage_jax.data.prepared import TfdsSource

    own = {'split', 'cache_gb'}
    _check_options(name, options, own)
    return TfdsSource(path.name, path.parent, **options)
  raise ValueError(
    f"unknown source '{name}'; have {', '.join(KINDS)}, a folder with "
    'transforms.json, or a prepared dataset'
  )


def _check_options(name: str, options: dict, known: Set[str]) -> None:
  for option in sorted(options.keys() - known):
    raise ValueError(
      f"unknown option '{option}' of source '{name}'; have "
      f'{", ".join(sorted(known))}'
    )
