"""Exteriors: buildings, trees, lamps, benches, road marks.

A building stands with its front at z = 0, looking along z; its body reaches
back to z = -depth. Trees and the like stand at 0.
"""

import jax.numpy as jnp
import numpy as np

from mirage_jax.arrays import Array, Float
from mirage_jax.worlds import palettes
from mirage_jax.worlds.solids import Material, material, stack
from mirage_jax.worlds.templates import Part, template

KERB_M = 0.12  # height of pavements over the road
STOREY_M = 3.0
_SHOP_M = 3.4
_FACADE, _SHOP, _TRIM, _DOOR, _AWNING, _ROOF = range(6)
BUILDING_DRAWS = 20


def building_palette(u: Float[Array, ' n'], half, height) -> Material:
  """Materials of a building `2 half` metres wide."""
  brick = np.float32([0.62, 0.36, 0.28]) * (0.75 + 0.5 * u[0])
  plaster, awning, door, shop = palettes.colours(
    u[1:13].reshape(4, 3),
    [(0.05, 0.4), (0.5, 0.9), (0.3, 0.8), (0.1, 0.6)],
    [(0.6, 0.92), (0.5, 0.9), (0.2, 0.6), (0.3, 0.8)],
  )
  wall = jnp.where(u[13] < 0.4, brick, plaster)
  columns = jnp.maximum(jnp.round(2 * half / (1.8 + 1.2 * u[14])), 1.0)
  storeys = jnp.round(height / STOREY_M)
  seed = jnp.floor(u[15] * 65536)
  glass = np.float32([0.3, 0.4, 0.5]) + 0.25 * (u[16] - 0.3)
  line = jnp.stack([0.35 + 0.3 * u[17], 0.35 + 0.25 * u[18]])
  return stack(
    [
      material(
        glass, wall, cell=jnp.stack([2 * half / columns, height / storeys]),
        line=line, tint=0.35, noise=0.12, grain=(0.8, 0.8), face=1.0, seed=seed,
      ),
      material(
        glass * 1.1, shop, cell=(2.4, 2 * _SHOP_M), line=(0.18, 0.3), tint=0.2,
        noise=0.1, face=1.0, seed=seed + 1,
      ),
      material(wall * 0.8, noise=0.06),
      material(
        door, door * 0.6, cell=(0.6, 1.1), line=(0.14, 0.1), face=1.0, noise=0.1
      ),
      material(
        awning, (0.92, 0.9, 0.86), cell=(0.5, 50.0), line=(0.5, 0.0), noise=0.02
      ),
      material((0.35, 0.34, 0.34), noise=0.1),
    ]
  )  # fmt: skip


def _building(half, depth, height, door):
  """Body, shop (group 1), cornice, door, awning (2) and roof hut (3)."""
  left, right, low = -half, half, _SHOP_M
  return [
    Part(_FACADE, (left, 0, -depth), (right, height, 0)),
    Part(_SHOP, (left, 0, -depth), (right, low, 0.06), group=1),
    Part(_TRIM, (left, low, -depth), (right, low + 0.25, 0.16), group=1),
    Part(_TRIM, (left, height - 0.1, -depth), (right, height + 0.5, 0.3)),
    Part(_DOOR, (door - 0.6, 0, -1), (door + 0.6, 2.3, 0.12)),
    Part(_TRIM, (door - 0.75, 2.3, -1), (door + 0.75, 2.5, 0.25)),
    Part(
      _AWNING, (left + 0.4, 2.75, -1), (right - 0.4, 2.95, 1.1), group=2
    ),
    Part(
      _ROOF, (door - 1.5, height, -5), (door + 1.5, height + 2.2, -2), group=3
    ),
  ]  # fmt: skip


BUILDING = template(_building, 4)

_BARK, _LEAF, _LIGHT_LEAF, _POLE, _GLASS, _WOOD, _BIN = range(7)
STREET_DRAWS = 8


def furniture_palette(u: Float[Array, ' n']) -> Material:
  """Materials of trees, lamps, benches and bins."""
  leaf = np.float32([0.22, 0.42, 0.15]) + 0.16 * (u[:3] - 0.4)
  seed = jnp.floor(u[3] * 65536)
  leafy = dict(noise=0.55, grain=(2.2, 2.2), seed=seed)
  return stack(
    [
      material((0.33, 0.24, 0.17), noise=0.3, grain=(9.0, 1.5), seed=seed),
      material(leaf, **leafy),
      material(leaf * 1.25, **leafy),
      material((0.16, 0.18, 0.18), noise=0.0),
      material((0.96, 0.94, 0.85), noise=0.0, glow=0.6),
      material((0.5, 0.32, 0.18), noise=0.2, grain=(1.5, 12.0), seed=seed),
      material(palettes.timbers(u[4:6]) * np.float32([0.5, 0.9, 0.6])),
    ]
  )


def _tree(tall, wide):
  top = 2.7 + tall
  crown = [
    (0, top + 0.5, 0, wide, wide * 0.85, _LEAF),
    (wide * 0.55, top + 0.1, 0.3, wide * 0.7, wide * 0.6, _LIGHT_LEAF),
    (-wide * 0.5, top + 0.2, -0.3, wide * 0.72, wide * 0.62, _LEAF),
    (0.1, top + 1.2, -0.1, wide * 0.6, wide * 0.55, _LIGHT_LEAF),
  ]
  parts = [Part(_BARK, (-0.11, 0, -0.11), (0.11, top + 0.2, 0.11), 1.0)]
  for x, h, z, r, up, made_of in crown:
    parts.append(Part(made_of, (x - r, h - up, z - r), (x + r, h + up, z + r)))
  return parts


def _lamp(tall, _):
  top = 3.6 + tall
  return [
    Part(_POLE, (-0.05, 0, -0.05), (0.05, top, 0.05), 1.0),
    Part(_POLE, (-0.12, 0, -0.12), (0.12, 0.5, 0.12), 1.0),
    Part(_GLASS, (-0.22, top - 0.1, -0.22), (0.22, top + 0.4, 0.22)),
  ]


def _bin(tall, _):
  return [
    Part(_BIN, (-0.26, 0, -0.26), (0.26, 0.75 + 0.1 * tall, 0.26), 1.0),
    Part(_POLE, (-0.28, 0.75, -0.28), (0.28, 0.85 + 0.1 * tall, 0.28), 1.0),
  ]


STANDING = [template(make, 2, 5) for make in (_tree, _lamp, _bin)]


def _bench():
  return [
    Part(_WOOD, (-0.8, 0.40, 0.05), (0.8, 0.46, 0.5)),
    Part(_WOOD, (-0.8, 0.55, 0.0), (0.8, 0.85, 0.06)),
    Part(_POLE, (-0.7, 0, 0.05), (-0.62, 0.55, 0.45)),
    Part(_POLE, (0.62, 0, 0.05), (0.7, 0.55, 0.45)),
  ]


BENCH = template(_bench, 0)

_ASPHALT, _PAVING, _DASH, _ZEBRA_X, _ZEBRA_Z, _SKYLINE = range(6)
GROUND_DRAWS = 6


def ground_palette(u: Float[Array, ' n']) -> Material:
  """Materials of roads, pavements and their marks."""
  asphalt = np.float32([0.33, 0.33, 0.35]) + 0.06 * (u[0] - 0.5)
  paving = np.float32([0.66, 0.63, 0.58]) + 0.1 * (u[1:4] - 0.5)
  white = (0.88, 0.88, 0.86)
  flat = dict(anchored=0.0, noise=0.08)
  return stack(
    [
      material(asphalt, noise=0.22, grain=(1.1, 1.1), anchored=0.0),
      material(
        paving, paving * 0.75, cell=(0.8, 0.8), line=(0.05, 0.05), tint=0.06,
        noise=0.14, grain=(1.5, 1.5), anchored=0.0, seed=5.0,
      ),
      material(white, asphalt, cell=(2.5, 2.5), line=(0.0, 0.0), **flat),
      material(white, asphalt, cell=(1.0, 50.0), line=(0.5, 0.0), **flat),
      material(white, asphalt, cell=(50.0, 1.0), line=(0.0, 0.5), **flat),
      material(
        (0.42, 0.5, 0.58), (0.66, 0.63, 0.6), cell=(3.0, 3.2), line=(0.5, 0.5),
        tint=0.3, face=1.0, noise=0.1,
      ),
    ]
  )  # fmt: skip


def _ground(x, z, walk, road):
  """Road, nine pavements, dashes and zebra crossings of a block.

  `x`, `z` are the half extents of the block's buildings.
  """
  far, reach = 95.0, 70.0
  near, out = (x + walk, z + walk), (x + walk + road, z + walk + road)
  parts = [Part(_ASPHALT, (-far, -0.5, -far), (far, 0.0, far))]
  spans = [
    [(-near[i], near[i]), (out[i], reach), (-reach, -out[i])] for i in (0, 1)
  ]
  for left, right in spans[0]:
    for back, front in spans[1]:
      parts.append(Part(_PAVING, (left, 0, back), (right, KERB_M, front)))
  lane_x, lane_z = x + walk + road / 2, z + walk + road / 2
  for i in (-1, 1):
    parts += [
      Part(
        _DASH, (i * lane_x - 0.07, 0, -reach), (i * lane_x + 0.07, 0.012, reach)
      ),
      Part(
        _DASH, (-reach, 0, i * lane_z - 0.07), (reach, 0.012, i * lane_z + 0.07)
      ),
    ]
    for j in (-1, 1):
      a, b = i * lane_x - road / 2, i * lane_x + road / 2
      c = j * (z + walk - 1.6)
      parts.append(Part(_ZEBRA_X, (a, 0, c - 1.4), (b, 0.014, c + 1.4)))
      a, b = j * lane_z - road / 2, j * lane_z + road / 2
      c = i * (x + walk - 1.6)
      parts.append(Part(_ZEBRA_Z, (c - 1.4, 0, a), (c + 1.4, 0.014, b)))
    parts += [
      Part(_SKYLINE, (i * 88 - 3, 0, -90), (i * 88 + 3, 11.0, 90)),
      Part(_SKYLINE, (-90, 0, i * 88 - 3), (90, 15.0, i * 88 + 3)),
    ]
  return parts


GROUND = template(_ground, 4)
