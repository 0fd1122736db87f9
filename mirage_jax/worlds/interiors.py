"""Interiors: floor, ceiling, walls, doors, decoration.

A wall lies along its own x with its face at z = 0, looking along z.
"""

import jax.numpy as jnp

from mirage_jax.arrays import Array, Float
from mirage_jax.worlds import palettes
from mirage_jax.worlds.solids import Material, material, stack
from mirage_jax.worlds.templates import Part, template

WALL_M = 0.12
DOOR_HALF_M = 0.5
DOOR_TOP_M = 2.05
_FLOOR_M = 0.1  # thickness
_FLOOR, _CEILING, _WALL, _FRAME, _LAMP = range(5)
SHELL_DRAWS = 20


def shell_palette(u: Float[Array, ' n']) -> Material:
  """Materials of floor, ceiling, walls, frames and lamp."""
  paint = palettes.colours(u[15:18], (0.0, 0.6), (0.5, 0.95))
  frame = jnp.where(u[19] < 0.5, paint, palettes.timbers(u[17:19]))
  return stack(
    [
      palettes.floor(u[:9]),
      material((0.93, 0.92, 0.9), noise=0.03, grain=(1.0, 1.0)),
      palettes.wall(u[9:15]),
      material(frame, noise=0.06, grain=(2.0, 6.0)),
      material((1.0, 0.97, 0.9), noise=0.0, glow=1.0),
    ]
  )


def _slabs(x, z, top):
  return [
    Part(_FLOOR, (-x, -_FLOOR_M, -z), (x, 0.0, z)),
    Part(_CEILING, (-x, top, -z), (x, top + _FLOOR_M, z)),
  ]


def _lamp(top):
  return [Part(_LAMP, (-0.2, top - 0.14, -0.2), (0.2, top + 0.1, 0.2))]


def _wall(left, right, reach, top):
  """From -reach to reach, with a door (group 1) from left to right."""
  back, head = -WALL_M / 2, DOOR_TOP_M
  return [
    Part(_WALL, (-reach, 0, back), (left, top, 0)),
    Part(_WALL, (right, 0, back), (reach, top, 0)),
    Part(_WALL, (left, head, back), (right, top, 0)),
    Part(_FRAME, (-reach, 0, 0), (left, 0.09, 0.015)),
    Part(_FRAME, (right, 0, 0), (reach, 0.09, 0.015)),
    Part(
      _FRAME, (left - 0.08, 0, back), (left + 0.02, head + 0.08, 0.03), group=1
    ),
    Part(
      _FRAME, (right - 0.02, 0, back), (right + 0.08, head + 0.08, 0.03),
      group=1,
    ),
    Part(
      _FRAME, (left, head - 0.02, back), (right, head + 0.08, 0.03), group=1
    ),
  ]  # fmt: skip


SLABS = template(_slabs, 3)
LAMP = template(_lamp, 1)
WALL = template(_wall, 4)

_ART, _PANES, _WHITE, _CLOTH = range(4)
DECOR_DRAWS = 9


def decor_palette(u: Float[Array, ' n']) -> Material:
  """Materials of a picture and of a window with curtains."""
  art, cloth = palettes.colours(
    u[:6].reshape(2, 3), [(0.4, 0.9), (0.1, 0.5)], [(0.45, 0.95), (0.6, 0.9)]
  )
  seed = jnp.floor(u[8] * 65536)
  return stack(
    [
      material(
        art, palettes.timbers(u[6:8]) * 0.6, line=(0.12, 0.14), noise=0.9,
        grain=(3.5, 3.5), face=2.0, seed=seed,
      ),
      material(
        (0.66, 0.82, 0.98), (0.93, 0.93, 0.9), line=(0.12, 0.1), noise=0.15,
        grain=(1.0, 2.0), face=2.0, glow=0.85,
      ),
      material((0.92, 0.92, 0.9), noise=0.02),
      material(
        cloth, cell=(0.09, 50.0), line=(0.45, 0.0), noise=0.05, seed=seed
      ),
    ]
  )  # fmt: skip


def _picture(half, low, high):
  return [Part(_ART, (-half, low, 0), (half, high, 0.035), fit=(1, 1))]


def _window(half, low, high):
  c, foot, head = half + 0.02, low - 0.3, high + 0.12
  return [
    Part(_PANES, (-half, low, 0), (half, high, 0.02), fit=(2, 2)),
    Part(_WHITE, (-c, low - 0.05, 0), (c, low, 0.14)),
    Part(_CLOTH, (-c - 0.26, foot, 0), (-c + 0.02, head, 0.07)),
    Part(_CLOTH, (c - 0.02, foot, 0), (c + 0.26, head, 0.07)),
  ]


DECOR = [template(_picture, 3, 4), template(_window, 3, 4)]
