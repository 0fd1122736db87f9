"""Furniture, each piece in its own axes.

A piece stands with its back at z = 0 and looks along z; x is centred on it and
heights are above the floor. Its width (and, where it matters, its height) is an
argument, so that it fits its place. Wall pieces have `WALL_BOXES` boxes and
`WALL_ROUNDS` rounds, absent ones included.
"""

import jax
import jax.numpy as jnp

from mirage_jax.arrays import Array, Float, Key
from mirage_jax.worlds import palettes
from mirage_jax.worlds.solids import Solids, join, material, place, solid, stack

WALL_BOXES = 12
WALL_ROUNDS = 4
WALL_DEPTH_M = 0.85  # no wall piece is deeper
CORNER_M = 0.5  # corner pieces are squares of this size


def sofa(key: Key[Array, ''], width) -> tuple[Solids, Solids]:
  """A sofa with cushions."""
  cloth, other = map(palettes.fabric, jax.random.split(key))
  w = jnp.minimum(width, 2.1) / 2
  boxes = [
    solid(cloth, (-w, 0.08, 0.04), (w, 0.40, 0.82)),
    solid(cloth, (-w, 0.40, 0.02), (w, 0.82, 0.24)),
    solid(cloth, (-w, 0.40, 0.24), (-w + 0.18, 0.60, 0.82)),
    solid(cloth, (w - 0.18, 0.40, 0.24), (w, 0.60, 0.82)),
    solid(other, (-w + 0.2, 0.40, 0.26), (-0.01, 0.48, 0.80)),
    solid(other, (0.01, 0.40, 0.26), (w - 0.2, 0.48, 0.80)),
  ]
  c = w - 0.38
  rounds = [
    solid(other, (-c - 0.2, 0.46, 0.22), (-c + 0.2, 0.78, 0.42)),
    solid(other, (c - 0.2, 0.46, 0.22), (c + 0.2, 0.78, 0.42)),
  ]
  return stack(boxes, WALL_BOXES), stack(rounds, WALL_ROUNDS)


def shelf(key: Key[Array, ''], width) -> tuple[Solids, Solids]:
  """A bookcase with four rows of books."""
  a, b = jax.random.split(key)
  timber = palettes.wood(a)
  w = jnp.minimum(width, 1.6) / 2
  top = 1.95
  boxes = [
    solid(timber, (-w, 0, 0), (-w + 0.04, top, 0.32)),
    solid(timber, (w - 0.04, 0, 0), (w, top, 0.32)),
    solid(timber, (-w, 0, 0), (w, top, 0.03)),
    solid(timber, (-w, top - 0.04, 0), (w, top, 0.32)),
  ]
  for i in range(4):
    low = 0.08 + 0.47 * i
    fill, start = jax.random.uniform(jax.random.fold_in(b, i), (2,))
    boxes.append(solid(timber, (-w, low - 0.04, 0), (w, low, 0.32)))
    books = material(
      (0.5, 0.42, 0.38),
      (0.1, 0.08, 0.07),
      cell=(0.055, 0.33),
      line=(0.1, 0.0),
      tint=0.75,
      noise=0.05,
      face=2.0,
      seed=start * 1000,
    )
    left = -w + 0.05 + 0.3 * start * w
    right = left + (0.6 + 0.4 * fill) * (w - 0.05 - left)
    boxes.append(solid(books, (left, low, 0.04), (right, low + 0.33, 0.26)))
  return stack(boxes, WALL_BOXES), stack([], WALL_ROUNDS)


def cabinet(key: Key[Array, ''], width) -> tuple[Solids, Solids]:
  """A low cabinet with doors, a vase and a screen."""
  a, b = jax.random.split(key)
  timber, vase = palettes.wood(a), palettes.paint(b)
  w = jnp.minimum(width, 1.9) / 2
  front = timber.replace(
    line_colour=timber.colour * 0.72,
    cell=jnp.stack([w / 2, jnp.float32(0.6)]),
    line=jnp.array([0.07, 0.07]),
    face=jnp.float32(2),
    tint=jnp.float32(0.06),
  )
  dark = material((0.05, 0.05, 0.06), noise=0.0)
  screen = material(
    palettes.colour(b, (0.4, 0.9), (0.4, 0.9)),
    (0.03, 0.03, 0.03),
    cell=(1.02, 0.6),
    line=(0.05, 0.07),
    noise=0.8,
    grain=(3.0, 4.0),
    face=2.0,
    seed=7.0,
  )
  boxes = [
    solid(front, (-w, 0.06, 0.02), (w, 0.66, 0.46)),
    solid(timber, (-w - 0.02, 0.66, 0.0), (w + 0.02, 0.70, 0.48)),
    solid(dark, (-w + 0.05, 0, 0.06), (w - 0.05, 0.06, 0.42)),
    solid(dark, (-0.12, 0.70, 0.16), (0.12, 0.80, 0.24)),
    solid(screen, (-0.51, 0.78, 0.18), (0.51, 1.38, 0.22)),
  ]
  c = w - 0.16
  rounds = [
    solid(vase, (c - 0.09, 0.70, 0.16), (c + 0.09, 0.94, 0.34)),
    solid(vase, (c - 0.05, 0.90, 0.20), (c + 0.05, 1.02, 0.30), upright=1.0),
  ]
  return stack(boxes, WALL_BOXES), stack(rounds, WALL_ROUNDS)


def wardrobe(key: Key[Array, ''], width) -> tuple[Solids, Solids]:
  """A wardrobe with panelled doors."""
  a, b = jax.random.split(key)
  w = jnp.minimum(width, 1.7) / 2
  body = palettes.choose(b, [palettes.wood(a), palettes.paint(a)])
  front = body.replace(
    line_colour=body.colour * 0.65,
    cell=jnp.stack([w, jnp.float32(1.03)]),
    line=jnp.array([0.09, 0.06]),
    face=jnp.float32(2),
  )
  knob = material((0.85, 0.8, 0.6), noise=0.0)
  boxes = [
    solid(front, (-w, 0, 0), (w, 2.06, 0.58)),
    solid(body, (-w - 0.03, 2.06, 0), (w + 0.03, 2.13, 0.62)),
  ]
  rounds = [
    solid(knob, (-0.08, 1.0, 0.57), (-0.04, 1.14, 0.62)),
    solid(knob, (0.04, 1.0, 0.57), (0.08, 1.14, 0.62)),
  ]
  return stack(boxes, WALL_BOXES), stack(rounds, WALL_ROUNDS)


def desk(key: Key[Array, ''], width) -> tuple[Solids, Solids]:
  """A desk with drawers, a screen and a lamp."""
  a, b = jax.random.split(key)
  timber, lamp = palettes.wood(a), palettes.paint(b)
  w = jnp.minimum(width, 1.6) / 2
  drawers = timber.replace(
    colour=timber.colour * 0.9,
    line_colour=timber.colour * 0.5,
    cell=jnp.array([0.4, 0.17]),
    line=jnp.array([0.04, 0.1]),
    face=jnp.float32(2),
  )
  dark = material((0.07, 0.07, 0.08), noise=0.0)
  blue = material(
    (0.25, 0.5, 0.85),
    (0.05, 0.05, 0.05),
    cell=(0.5, 0.32),
    line=(0.06, 0.08),
    noise=0.5,
    grain=(5.0, 6.0),
    face=2.0,
    seed=3.0,
  )
  boxes = [
    solid(timber, (-w, 0.70, 0.02), (w, 0.75, 0.70)),
    solid(drawers, (w - 0.42, 0.04, 0.08), (w - 0.02, 0.70, 0.66)),
    solid(timber, (-w + 0.02, 0, 0.08), (-w + 0.07, 0.70, 0.13)),
    solid(timber, (-w + 0.02, 0, 0.6), (-w + 0.07, 0.70, 0.65)),
    solid(dark, (-0.1, 0.75, 0.12), (0.1, 0.84, 0.24)),
    solid(blue, (-0.25, 0.84, 0.16), (0.25, 1.16, 0.19)),
    solid(dark, (-0.22, 0.75, 0.42), (0.22, 0.77, 0.58)),
  ]
  c = w - 0.16
  rounds = [
    solid(dark, (c - 0.02, 0.75, 0.23), (c + 0.02, 1.1, 0.27), upright=1.0),
    solid(lamp, (c - 0.11, 1.06, 0.14), (c + 0.11, 1.24, 0.36)),
    solid(dark, (c - 0.09, 0.75, 0.16), (c + 0.09, 0.78, 0.34), upright=1.0),
  ]
  return stack(boxes, WALL_BOXES), stack(rounds, WALL_ROUNDS)


WALL_PIECES = (sofa, shelf, cabinet, wardrobe, desk)


def wall_piece(key: Key[Array, ''], kind, width) -> tuple[Solids, Solids]:
  """The piece `kind` (an index into `WALL_PIECES`)."""
  return jax.lax.switch(kind, WALL_PIECES, key, width)


def corner_piece(key: Key[Array, '']) -> tuple[Solids, Solids]:
  """A plant or a floor lamp, centred at 0: no boxes and 6 rounds."""
  kind, a, b = jax.random.split(key, 3)
  return None, palettes.choose(kind, [_plant(a), _lamp(b)])


def _plant(key) -> Solids:
  pot = palettes.paint(key)
  green = jnp.array([0.2, 0.45, 0.18]) * (
    0.8 + 0.5 * jax.random.uniform(key, (3,))
  )
  leaf = material(green, noise=0.5, grain=(9.0, 9.0))
  rounds = [solid(pot, (-0.17, 0, -0.17), (0.17, 0.32, 0.17), upright=1.0)]
  for i, (x, h, z, r) in enumerate(
    [(0, 0.62, 0, 0.2), (0.08, 0.85, 0.05, 0.17), (-0.09, 0.95, -0.04, 0.15)]
  ):
    k = jax.random.uniform(jax.random.fold_in(key, i), (3,)) * 0.1
    tall = r * (1.2 + 3 * k[0])
    rounds.append(
      solid(leaf, (x - r, h - tall, z - r), (x + r, h + tall, z + r))
    )
  return stack(rounds, 6)


def _lamp(key) -> Solids:
  metal = material((0.15, 0.14, 0.13), noise=0.0)
  c = palettes.colour(key, (0.1, 0.4), (0.9, 1.0))
  shade = material(c, noise=0.05, glow=0.75)
  return stack(
    [
      solid(metal, (-0.15, 0, -0.15), (0.15, 0.03, 0.15), upright=1.0),
      solid(metal, (-0.015, 0, -0.015), (0.015, 1.4, 0.015), upright=1.0),
      solid(shade, (-0.2, 1.35, -0.2), (0.2, 1.7, 0.2), upright=1.0),
    ],
    6,
  )


def table(key: Key[Array, ''], half_x, half_z, height) -> Solids:
  """A table centred at 0: 5 boxes."""
  timber = palettes.wood(key)
  boxes = [
    solid(timber, (-half_x, height - 0.05, -half_z), (half_x, height, half_z))
  ]
  for i in (-1, 1):
    for j in (-1, 1):
      x, z = i * (half_x - 0.07), j * (half_z - 0.07)
      boxes.append(
        solid(
          timber,
          (x - 0.035, 0, z - 0.035),
          (x + 0.035, height - 0.05, z + 0.035),
        )
      )
  return stack(boxes)


def chair(key: Key[Array, '']) -> Solids:
  """A chair, back at z = 0: 7 boxes."""
  a, b = jax.random.split(key)
  timber, cloth = palettes.wood(a), palettes.fabric(b)
  boxes = [
    solid(cloth, (-0.21, 0.42, 0.0), (0.21, 0.48, 0.42)),
    solid(timber, (-0.21, 0.62, 0.0), (0.21, 0.92, 0.04)),
    solid(timber, (-0.21, 0.48, 0.0), (-0.17, 0.92, 0.04)),
    solid(timber, (0.17, 0.48, 0.0), (0.21, 0.92, 0.04)),
  ]
  legs = material(timber.colour * 0.8, noise=0.1)
  for x in (-0.19, 0.19):
    boxes.append(solid(legs, (x - 0.02, 0, 0.0), (x + 0.02, 0.42, 0.04)))
  boxes.append(solid(legs, (-0.21, 0, 0.38), (-0.17, 0.42, 0.42)))
  boxes.append(solid(legs, (0.17, 0, 0.38), (0.21, 0.42, 0.42)))
  return stack(boxes)


def dining(key: Key[Array, ''], radius: Float[Array, '']) -> list[Solids]:
  """A table and four chairs within `radius`: 5 groups of boxes.

  With too little room for chairs the table is low and stands alone.
  """
  a, b = jax.random.split(key)
  large = radius >= 0.95
  half = jnp.where(large, jnp.minimum(radius - 0.42, 0.75), radius * 0.62)
  groups = [
    table(a, half, half * 0.72, jnp.where(large, 0.74, 0.42)),
  ]
  for i in range(4):
    yaw = jnp.pi * (i // 2) + 0.0
    side = (1 if i % 2 else -1) * half * 0.5
    seat = place(chair(b), jnp.array([0.0, 0, -half * 0.72 - 0.26]))
    seat = place(seat, jnp.stack([side, jnp.float32(0), jnp.float32(0)]))
    groups.append(place(seat, jnp.zeros(3), yaw))
  return groups, large


def rug(key: Key[Array, ''], half_x, half_z) -> Solids:
  """A patterned rug with a border, centred at 0: 2 boxes."""
  a, b, c = jax.random.split(key, 3)
  border, field = palettes.fabric(a), palettes.fabric(b)
  other = palettes.colour(c, (0.3, 0.8), (0.3, 0.9))
  field = field.replace(
    line_colour=other, cell=jnp.array([0.3, 0.3]), line=jnp.array([0.3, 0.3])
  )
  m = 0.14
  return stack(
    [
      solid(border, (-half_x, 0, -half_z), (half_x, 0.012, half_z)),
      solid(
        field, (m - half_x, 0, m - half_z), (half_x - m, 0.016, half_z - m)
      ),
    ]
  )


def picture(key: Key[Array, ''], half_x, low, high) -> Solids:
  """A framed picture on the wall: 1 box."""
  a, b, c = jax.random.split(key, 3)
  art = palettes.colour(a, (0.4, 0.9), (0.4, 0.95))
  frame = palettes.wood_colour(b) * 0.6
  made_of = material(
    art,
    frame,
    cell=jnp.stack([2 * half_x, high - low]),
    line=(0.12, 0.14),
    noise=0.9,
    grain=(3.5, 3.5),
    face=2.0,
    seed=jax.random.randint(c, (), 0, 9999),
  )
  return stack([solid(made_of, (-half_x, low, 0), (half_x, high, 0.035))])


def window(half_x, low, high) -> Solids:
  """A bright window with a sill and curtains: 4 boxes."""
  panes = material(
    (0.66, 0.82, 0.98),
    (0.93, 0.93, 0.9),
    cell=jnp.stack([half_x, (high - low) / 2]),
    line=(0.12, 0.1),
    noise=0.15,
    grain=(1.0, 2.0),
    face=2.0,
    glow=0.85,
  )
  white = material((0.92, 0.92, 0.9), noise=0.02)
  cloth = material(
    (0.8, 0.74, 0.62), cell=(0.09, 50.0), line=(0.45, 0.0), noise=0.05
  )
  c = half_x + 0.02
  return stack(
    [
      solid(panes, (-half_x, low, 0), (half_x, high, 0.02)),
      solid(white, (-c, low - 0.05, 0), (c, low, 0.14)),
      solid(cloth, (-c - 0.26, low - 0.3, 0), (-c + 0.02, high + 0.12, 0.07)),
      solid(cloth, (c - 0.02, low - 0.3, 0), (c + 0.26, high + 0.12, 0.07)),
    ]
  )


__all__ = [
  'chair',
  'corner_piece',
  'dining',
  'join',
  'picture',
  'rug',
  'table',
  'wall_piece',
  'window',
]
