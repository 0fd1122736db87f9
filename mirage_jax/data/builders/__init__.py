"""TFDS builders of the procedural worlds, and how they are prepared."""

from mirage_jax.data.builders.preparation import prepare
from mirage_jax.data.builders.worlds import ClipsConfig, Rooms, Streets

__all__ = ['ClipsConfig', 'Rooms', 'Streets', 'prepare']
