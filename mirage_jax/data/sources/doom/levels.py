"""The geometry of a level, read from the game's own file.

A WAD is a list of named lumps; those of a level follow a marker with its name.
Layouts are those of Doom (https://doomwiki.org/wiki/WAD, .../Linedef, ...).
Lengths are map units here: 32 to a metre, as a man of 56 is 1.75 m tall.
"""

import dataclasses
import functools
import itertools
import pathlib
import struct

import numpy as np

from mirage_jax.arrays import Bool, Float, Int

UNITS = 32.0  # of a map, to a metre
SKY = b'F_SKY1'  # what a ceiling is called where there is none
NONE = -1  # the sector behind a line that has only one side

_LINE = np.dtype('<u2, <u2, <u2, <u2, <u2, <u2, <u2')
_LINE.names = ('start', 'end', 'flags', 'special', 'tag', 'right', 'left')
_SIDE = np.dtype('S28, <u2')  # textures, sector
_SECTOR = np.dtype('<i2, <i2, S8, S8, S6')  # heights, flats, the rest
_THING = np.dtype('<i2, <i2, S6')  # x, y, the rest
BLOCKS = 1  # the flag of a line that nobody walks through


@dataclasses.dataclass(frozen=True, eq=False)
class Level:
  """Walls and sectors of a level.

  Attributes:
    start, end: `[l, 2]` of the lines.
    right, left: `[l]` sectors on both sides, seen from the start; `NONE`.
    blocking: `[l]` lines that nobody walks through.
    floor, ceiling: `[s]` heights of the sectors when the level begins.
    sky: `[s]` sectors without a ceiling.
    things: `[n, 2]` where things stand when it begins.
  """

  start: Float[np.ndarray, 'l 2']
  end: Float[np.ndarray, 'l 2']
  right: Int[np.ndarray, 'l']
  left: Int[np.ndarray, 'l']
  blocking: Bool[np.ndarray, 'l']
  floor: Float[np.ndarray, 's']
  ceiling: Float[np.ndarray, 's']
  sky: Bool[np.ndarray, 's']
  things: Float[np.ndarray, 'n 2']


def read_level(path, name: str) -> Level:
  """The level `name` of a WAD.

  Raises:
    FileNotFoundError: no such file.
    ValueError: no WAD, or no such level in it.
  """
  lumps = _lumps(path)
  names = [lump[0] for lump in lumps]
  if name not in names:
    raise ValueError(
      f'{path} has no level {name!r}; have {", ".join(level_names(path))}'
    )
  at = names.index(name)
  found = {lump: data for lump, data in lumps[at + 1 : at + 11]}
  lines = np.frombuffer(found['LINEDEFS'], _LINE)
  sides = np.frombuffer(found['SIDEDEFS'], _SIDE)['f1'].astype(int)
  vertices = np.frombuffer(found['VERTEXES'], '<i2').reshape(-1, 2)
  vertices = vertices.astype(np.float64)
  sectors = np.frombuffer(found['SECTORS'], _SECTOR)
  things = np.frombuffer(found['THINGS'], _THING)

  def sector_of(side: np.ndarray) -> np.ndarray:
    there = side < len(sides)  # 0xFFFF where there is no side
    return np.where(there, sides[np.where(there, side, 0)], NONE)

  return Level(
    start=vertices[lines['start']],
    end=vertices[lines['end']],
    right=sector_of(lines['right'].astype(int)),
    left=sector_of(lines['left'].astype(int)),
    blocking=(lines['flags'] & BLOCKS) > 0,
    floor=sectors['f0'].astype(np.float64),
    ceiling=sectors['f1'].astype(np.float64),
    sky=sectors['f3'] == SKY,
    things=np.stack([things['f0'], things['f1']], axis=1).astype(np.float64),
  )


def level_names(path) -> list[str]:
  """Names of the levels of a WAD, in its order."""
  lumps = [name for name, _ in _lumps(path)]
  return [
    name for name, after in itertools.pairwise(lumps) if after == 'THINGS'
  ]


@functools.lru_cache(maxsize=2)
def _lumps(path) -> list[tuple[str, bytes]]:
  """All lumps of a WAD, by name and in order."""
  data = pathlib.Path(path).read_bytes()
  if data[1:4] != b'WAD':
    raise ValueError(f'{path} is no WAD; expected a level file of Doom')
  count, at = struct.unpack_from('<ii', data, 4)
  lumps = []
  for i in range(count):
    begin, size, name = struct.unpack_from('<ii8s', data, at + 16 * i)
    text = name.split(b'\0')[0].decode('ascii', 'replace')
    lumps.append((text, data[begin : begin + size]))
  return lumps
