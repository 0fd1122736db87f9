"""TFDS builders of the procedural worlds, and how they are prepared."""

from mirage_jax.data.builders.preparation import prepare
from mirage_jax.data.builders.worlds import ClipsConfig, Doom, Rooms, Streets

__all__ = ['ClipsConfig', 'Doom', 'Rooms', 'Streets', 'prepare']
