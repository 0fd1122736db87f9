"""Mirage: video generation with a persistent spatial memory."""

import importlib
from typing import Any

# Where the public names are; imported when first used, as few need them all.
_PUBLIC = {
  'World': 'mirage_jax.world',
  'load_pretrained': 'mirage_jax.world',
  'step_many': 'mirage_jax.world',
  'open_source': 'mirage_jax.data.sources.catalog',
  'take_frames': 'mirage_jax.geometry.clips',
  'Box': 'mirage_jax.memory.regions',
  'Sphere': 'mirage_jax.memory.regions',
}
__all__ = list(_PUBLIC)


def __getattr__(name: str) -> Any:
  if name in _PUBLIC:
    return getattr(importlib.import_module(_PUBLIC[name]), name)
  raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
