"""Furniture, each piece in its own axes.

A piece stands with its back at z = 0 and looks along z; x is centred on it and
heights are above the floor. Makers list parts as functions of measures, for
`templates`.
"""

import numpy as np

from mirage_jax.worlds.palettes import role
from mirage_jax.worlds.templates import Part, template

WALL_DEPTH_M = 0.85  # no wall piece is deeper
CORNER_M = 0.5  # corner pieces are squares of this size
_BOXES, _ROUNDS = 12, 4


def _sofa(w):
  boxes = [
    Part(role('fabric'), (-w, 0.08, 0.04), (w, 0.40, 0.82)),
    Part(role('fabric'), (-w, 0.40, 0.02), (w, 0.82, 0.24)),
    Part(role('fabric'), (-w, 0.40, 0.24), (-w + 0.18, 0.60, 0.82)),
    Part(role('fabric'), (w - 0.18, 0.40, 0.24), (w, 0.60, 0.82)),
    Part(role('second'), (-w + 0.2, 0.40, 0.26), (-0.01, 0.48, 0.80)),
    Part(role('second'), (0.01, 0.40, 0.26), (w - 0.2, 0.48, 0.80)),
  ]
  c = w - 0.38
  rounds = [
    Part(role('paint'), (-c - 0.2, 0.46, 0.22), (-c + 0.2, 0.78, 0.42)),
    Part(role('paint'), (c - 0.2, 0.46, 0.22), (c + 0.2, 0.78, 0.42)),
  ]
  return boxes, rounds


def _shelf(w):
  top, timber = 1.95, role('timber')
  boxes = [
    Part(timber, (-w, 0, 0), (-w + 0.04, top, 0.32)),
    Part(timber, (w - 0.04, 0, 0), (w, top, 0.32)),
    Part(timber, (-w, 0, 0), (w, top, 0.03)),
    Part(timber, (-w, top - 0.04, 0), (w, top, 0.32)),
  ]
  for i, (start, end) in enumerate([(0, 2), (0.3, 2), (0, 1.5), (0.1, 1.9)]):
    low = 0.08 + 0.47 * i
    boxes.append(Part(timber, (-w, low - 0.04, 0), (w, low, 0.32)))
    left, right = -w + 0.05 + start * (w - 0.05), -w + 0.05 + end * (w - 0.05)
    tall = 0.33 + 0.03 * (i % 2)
    boxes.append(
      Part(role('books'), (left, low, 0.04), (right, low + tall, 0.26))
    )
  return boxes, []


def _cabinet(w):
  boxes = [
    Part(role('front'), (-w, 0.06, 0.02), (w, 0.66, 0.46), fit=(4, 1)),
    Part(role('timber'), (-w - 0.02, 0.66, 0.0), (w + 0.02, 0.70, 0.48)),
    Part(role('dark'), (-w + 0.05, 0, 0.06), (w - 0.05, 0.06, 0.42)),
    Part(role('dark'), (-0.12, 0.70, 0.16), (0.12, 0.80, 0.24)),
    Part(role('screen'), (-0.51, 0.78, 0.18), (0.51, 1.38, 0.22), fit=(1, 1)),
  ]
  c = w - 0.12
  rounds = [
    Part(role('paint'), (c - 0.09, 0.70, 0.16), (c + 0.09, 0.94, 0.34)),
    Part(role('paint'), (c - 0.05, 0.90, 0.20), (c + 0.05, 1.02, 0.30), 1.0),
  ]
  return boxes, rounds


def _wardrobe(w):
  boxes = [
    Part(role('doors'), (-w, 0, 0), (w, 2.06, 0.58), fit=(2, 2)),
    Part(role('doors'), (-w - 0.03, 2.06, 0), (w + 0.03, 2.13, 0.62)),
  ]
  rounds = [
    Part(role('metal'), (-0.1, 1.0, 0.57), (-0.05, 1.14, 0.62)),
    Part(role('metal'), (0.05, 1.0, 0.57), (0.1, 1.14, 0.62)),
  ]
  return boxes, rounds


def _desk(w):
  timber, dark = role('timber'), role('dark')
  boxes = [
    Part(timber, (-w, 0.70, 0.02), (w, 0.75, 0.70)),
    Part(
      role('drawers'), (w - 0.42, 0.04, 0.08), (w - 0.02, 0.7, 0.66), fit=(1, 4)
    ),
    Part(timber, (-w + 0.02, 0, 0.08), (-w + 0.07, 0.70, 0.13)),
    Part(timber, (-w + 0.02, 0, 0.6), (-w + 0.07, 0.70, 0.65)),
    Part(dark, (-0.1, 0.75, 0.12), (0.1, 0.84, 0.24)),
    Part(role('monitor'), (-0.25, 0.84, 0.16), (0.25, 1.16, 0.19), fit=(1, 1)),
    Part(dark, (-0.22, 0.75, 0.42), (0.22, 0.77, 0.58)),
  ]
  c = w - 0.16
  rounds = [
    Part(dark, (c - 0.02, 0.75, 0.23), (c + 0.02, 1.1, 0.27), 1.0),
    Part(role('shade'), (c - 0.11, 1.06, 0.14), (c + 0.11, 1.24, 0.36)),
    Part(dark, (c - 0.09, 0.75, 0.16), (c + 0.09, 0.78, 0.34), 1.0),
  ]
  return boxes, rounds


_WALL_MAKERS = (_sofa, _shelf, _cabinet, _wardrobe, _desk)
WALL_HALF_M = np.array([1.05, 0.8, 0.95, 0.85, 0.8], np.float32)
WALL_PIECES = [
  (
    template(lambda w, make=make: make(w)[0], 1, _BOXES),
    template(lambda w, make=make: make(w)[1], 1, _ROUNDS),
  )
  for make in _WALL_MAKERS
]


def _plant(k):
  """A plant; `k` is how much taller than usual, in metres."""
  parts = [Part(role('paint'), (-0.17, 0, -0.17), (0.17, 0.32, 0.17), 1.0)]
  leaves = [(0, 0.62, 0, 0.2), (0.07, 0.82, 0.05, 0.17), (-0.08, 0.92, 0, 0.15)]
  for x, h, z, r in leaves:
    lo, hi = (x - r, h - 1.3 * r, z - r), (x + r, h + 1.3 * r + k, z + r)
    parts.append(Part(role('leaf'), lo, hi))
  return parts


def _lamp(k):
  top = 1.4 + k
  return [
    Part(role('dark'), (-0.15, 0, -0.15), (0.15, 0.03, 0.15), 1.0),
    Part(role('dark'), (-0.015, 0, -0.015), (0.015, top, 0.015), 1.0),
    Part(role('shade'), (-0.2, top - 0.05, -0.2), (0.2, top + 0.3, 0.2), 1.0),
  ]


CORNER_PIECES = [template(_plant, 1, 4), template(_lamp, 1, 4)]


def _dining(x, z, top, rug_x, rug_z):
  """A rug (group 0), a table (1) and four chairs (2 to 5)."""
  timber, m = role('timber'), 0.14
  parts = [
    Part(role('second'), (-rug_x, 0, -rug_z), (rug_x, 0.012, rug_z)),
    Part(
      role('fabric'), (m - rug_x, 0, m - rug_z), (rug_x - m, 0.016, rug_z - m)
    ),
    Part(timber, (-x, top - 0.05, -z), (x, top, z), group=1),
  ]
  for i in (-1, 1):
    for j in (-1, 1):
      a, b = i * (x - 0.07), j * (z - 0.07)
      lo, hi = (a - 0.035, 0, b - 0.035), (a + 0.035, top - 0.05, b + 0.035)
      parts.append(Part(timber, lo, hi, group=1))
  for i, (side, end) in enumerate([(-1, -1), (1, -1), (-1, 1), (1, 1)]):
    for made_of, lo, hi in _chair():
      lo, hi = list(lo), list(hi)
      if end > 0:
        lo[2], hi[2] = -hi[2], -lo[2]
      for corner in (lo, hi):
        corner[0] += side * x * 0.5
        corner[2] += end * (z + 0.26)
      parts.append(Part(made_of, tuple(lo), tuple(hi), group=2 + i))
  return parts


def _chair():
  timber, legs = role('timber'), role('legs')
  return [
    (role('fabric'), (-0.21, 0.42, 0.0), (0.21, 0.48, 0.42)),
    (timber, (-0.21, 0.62, 0.0), (0.21, 0.92, 0.04)),
    (timber, (-0.21, 0.0, 0.0), (-0.17, 0.92, 0.04)),
    (timber, (0.17, 0.0, 0.0), (0.21, 0.92, 0.04)),
    (legs, (-0.21, 0, 0.38), (-0.17, 0.42, 0.42)),
    (legs, (0.17, 0, 0.38), (0.21, 0.42, 0.42)),
  ]


DINING = template(_dining, 5)
CHAIR_REACH_M = 0.3  # how far a chair stands out from the table
