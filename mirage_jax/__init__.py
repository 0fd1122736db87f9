"""Mirage: video generation with a persistent spatial memory."""

from typing import Any

__all__ = ['World', 'load_pretrained']


def __getattr__(name: str) -> Any:
  """The public names, imported when first used: few parts need all others."""
  if name in __all__:
    from mirage_jax import world

    return getattr(world, name)
  raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
