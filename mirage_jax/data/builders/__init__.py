"""Writes clips of worlds and games to disk, as TFDS datasets.

preparation  prepares a dataset, or goes on with one that was stopped
worlds       the TFDS builders `rooms`, `streets` and `doom`
rendered     rendered clips, kept shard by shard until all are there
features     the fields of a clip, as they are stored
"""

from mirage_jax.data.builders.preparation import prepare
from mirage_jax.data.builders.worlds import ClipsConfig, Doom, Rooms, Streets

__all__ = ['ClipsConfig', 'Doom', 'Rooms', 'Streets', 'prepare']
