"""The colours of what rays hit.

Light is fixed and surfaces are matt, so a place has the same colour in every
view. Materials are squared before and the sum is rooted after lighting, a
gamma of 2. Axes: v views, r rays, p solids.
"""

import flax.struct
import jax
import jax.numpy as jnp

from mirage_jax.arrays import Array, Float, Int
from mirage_jax.worlds import textures
from mirage_jax.worlds.caster import Views
from mirage_jax.worlds.solids import Solids

_HORIZON, _ZENITH = (0.86, 0.9, 0.93), (0.36, 0.6, 0.9)


@flax.struct.dataclass
class Lighting:
  """Fixed light.

  Attributes:
    split: `[2]` x and z of the planes that part the four rooms.
    lamp: `[4, 3]` a lamp for each room (x, then z past the split).
    lamp_colour: `[4, 3]`.
    ambient: `[3]` light from everywhere.
    sun: `[3]` unit vector towards the sun.
    sun_colour: `[3]`.
  """

  split: Float[Array, '2']
  lamp: Float[Array, '4 3']
  lamp_colour: Float[Array, '4 3']
  ambient: Float[Array, '3']
  sun: Float[Array, '3']
  sun_colour: Float[Array, '3']


def shade(
  views: Views,
  depth: Float[Array, 'v r'],
  index: Int[Array, 'v r'],
  solids: Solids,
  lighting: Lighting,
  *,
  count_boxes: int,
  pixel_m: float,
) -> Int[Array, 'v r']:
  """Display colours of hits, packed.

  Args:
    views: the rays.
    depth: their depths; `inf` is sky.
    index: what they hit.
    solids: `[v, p]` boxes, then rounds.
    lighting: the light.
    count_boxes: how many are boxes.
    pixel_m: size of a pixel at depth 1.
  """
  far = jnp.isinf(depth)
  depth = jnp.where(far, 1.0, depth)
  row = _gather(solids, index)
  direction = jnp.moveaxis(views.directions, 1, 0)
  point = [views.origin[:, i, None] + depth * direction[i] for i in range(3)]
  surface = _surface(row, point, direction, index >= count_boxes)
  albedo = _albedo(row, surface, depth * pixel_m)
  light = _light(lighting, point, surface['normal'])
  colour = []
  for channel in range(3):
    lit = light[channel] * (1 - row['glow']) + row['glow']
    colour.append(jnp.sqrt(jnp.clip(albedo[channel] ** 2 * lit, 0, 1)))
  sky = _sky(direction)
  return pack([jnp.where(far, s, c) for s, c in zip(sky, colour, strict=True)])


def pack(colour: list[Float[Array, '*n']]) -> Int[Array, '*n']:
  """Red, green and blue in [0, 1] as 10 bits each of one integer.

  One result is one loop: XLA for CPUs computes the shared part of three results
  three times.
  """
  red, green, blue = ((c * 1023 + 0.5).astype(jnp.int32) for c in colour)
  return red | (green << 10) | (blue << 20)


def unpack(packed: Int[Array, '*n']) -> list[Float[Array, '*n']]:
  """Inverse of `pack`."""
  return [
    ((packed >> shift) & 1023).astype(jnp.float32) / 1023
    for shift in (0, 10, 20)
  ]


def _gather(solids: Solids, index):
  """Rows of the solids hit, as a dictionary of `[v, r]` columns."""
  views, count = solids.yaw.shape
  flat = index + count * jnp.arange(views)[:, None]
  columns = _columns(solids)
  table = jnp.stack(list(columns.values())).reshape(len(columns), -1)
  take = lambda x: x.at[flat].get(mode='promise_in_bounds')
  return {name: take(table[k]) for k, name in enumerate(columns)}


def _columns(solids: Solids):
  m = solids.material
  out = {
    'yaw_cos': jnp.cos(solids.yaw),
    'yaw_sin': jnp.sin(solids.yaw),
    'tilt_cos': jnp.cos(solids.tilt),
    'tilt_sin': jnp.sin(solids.tilt),
    'upright': solids.upright,
  }
  for i, axis in enumerate('xyz'):
    out['centre_' + axis] = solids.centre[..., i]
    out['half_' + axis] = solids.half[..., i]
  for i, channel in enumerate('rgb'):
    out['colour_' + channel] = m.colour[..., i]
    out['line_' + channel] = m.line_colour[..., i]
  for i, axis in enumerate('uv'):
    out['cell_' + axis] = m.cell[..., i]
    out['share_' + axis] = m.line[..., i]
    out['grain_' + axis] = m.grain[..., i]
  for name in ('shift', 'tint', 'noise', 'face', 'anchored', 'glow', 'seed'):
    out[name] = getattr(m, name)
  return out


def _to_own(row, x, y, z):
  """World vectors in the solids' own axes."""
  c, s = row['yaw_cos'], row['yaw_sin']
  x, z = c * x - s * z, s * x + c * z
  c, s = row['tilt_cos'], row['tilt_sin']
  return x, c * y + s * z, c * z - s * y


def _to_world(row, x, y, z):
  c, s = row['tilt_cos'], row['tilt_sin']
  y, z = c * y - s * z, s * y + c * z
  c, s = row['yaw_cos'], row['yaw_sin']
  return c * x + s * z, y, c * z - s * x


def _surface(row, point, direction, is_round):
  """Normal, texture coordinates and slant of the hit surface."""
  half = [jnp.maximum(row['half_' + a], 1e-6) for a in 'xyz']
  rel = [p - row['centre_' + a] for p, a in zip(point, 'xyz', strict=True)]
  own = _to_own(row, *rel)
  away = _to_own(row, *direction)
  q = [o / h for o, h in zip(own, half, strict=True)]
  x, y, z = (jnp.abs(v) for v in q)
  top = jnp.where(
    is_round, (row['upright'] > 0) & (y > 0.998), (y > x) & (y > z)
  )
  side = ~top & (x > z)
  sign = lambda v, on: jnp.where(on, jnp.sign(v), 0.0)
  flat = [sign(q[0], side), sign(q[1], top), sign(q[2], ~side & ~top)]
  bulge = [v / h for v, h in zip(q, half, strict=True)]
  bulge[1] = bulge[1] * (1 - row['upright'])
  scale = jax.lax.rsqrt(sum(v * v for v in bulge) + 1e-12)
  curved = is_round & ~top
  normal = [
    jnp.where(curved, b * scale, f) for b, f in zip(bulge, flat, strict=True)
  ]
  fixed = row['anchored'] < 0.5
  coordinate = [
    jnp.where(fixed, p, o + h)
    for p, o, h in zip(_to_own(row, *point), own, half, strict=True)
  ]
  height = jnp.where(fixed, -point[1], half[1] - own[1])
  pick = lambda x, y, z: jnp.where(top, y, jnp.where(side, x, z))
  across = jnp.abs(pick(*(away[i] for i in range(3)))) + 1e-3
  slant = lambda along: jnp.sqrt(1 + jnp.minimum((along / across) ** 2, 400.0))
  return {
    'normal': _to_world(row, *normal),
    'u': pick(coordinate[2], coordinate[0], coordinate[0]),
    'v': pick(height, coordinate[2], height),
    'slant_u': slant(pick(away[2], away[0], away[0])),
    'slant_v': slant(pick(away[1], away[2], away[1])),
    'tiled': jnp.where(top, row['face'] < 0.5, ~side | (row['face'] < 1.5)),
  }


def _albedo(row, surface, width):
  """Material colours at hits whose pixels are `width` metres wide."""
  wu, wv = width * surface['slant_u'], width * surface['slant_v']
  seed = row['seed'].astype(jnp.int32)
  u, v = surface['u'] / row['cell_u'], surface['v'] / row['cell_v']
  cu, cv = wu / row['cell_u'], wv / row['cell_v']
  u = u + row['shift'] * jnp.floor(v)
  line = 1 - textures.pulses(u, cu, row['share_u'])
  line = 1 - line * (1 - textures.pulses(v, cv, row['share_v']))
  line = jnp.where(surface['tiled'], line, 1.0)
  bits = textures.hash_lattice(
    jnp.floor(u).astype(jnp.int32), jnp.floor(v).astype(jnp.int32), seed
  )
  tint = row['tint'] * textures.fade(jnp.maximum(cu, cv) * 0.7)
  grain = jnp.float32(0)
  for octave, weight in ((1.0, 0.65), (2.7, 0.35)):
    ku, kv = row['grain_u'] * octave, row['grain_v'] * octave
    fuzz = jnp.maximum(wu * ku, wv * kv)
    grain += weight * textures.value_noise(
      surface['u'] * ku, surface['v'] * kv, fuzz, seed
    )
  grain = 1 + row['noise'] * grain
  out = []
  for channel, name in enumerate('rgb'):
    cell = row['colour_' + name]
    cell = cell * (1 + tint * (2 * textures.fraction(bits, channel) - 1))
    out.append((cell + line * (row['line_' + name] - cell)) * grain)
  return out


def _light(lighting: Lighting, point, normal):
  """Light that falls on points `[v, r]`, three channels."""
  right = point[0] > lighting.split[0]
  ahead = point[2] > lighting.split[1]
  pick = lambda x: jnp.where(
    right, jnp.where(ahead, x[3], x[1]), jnp.where(ahead, x[2], x[0])
  )
  to = [pick(lighting.lamp[:, i]) - point[i] for i in range(3)]
  square = sum(x * x for x in to)
  facing = sum(n * x for n, x in zip(normal, to, strict=True))
  facing = facing * jax.lax.rsqrt(square + 1e-6)
  lamp = (0.5 + 0.5 * facing) ** 2 / (1 + square / 8)
  sun = sum(n * lighting.sun[i] for i, n in enumerate(normal))
  sun = jnp.maximum(sun, 0)
  around = 0.85 - 0.15 * normal[1]
  return [
    lighting.ambient[i] * around
    + pick(lighting.lamp_colour[:, i]) * lamp
    + lighting.sun_colour[i] * sun
    for i in range(3)
  ]


def _sky(direction):
  """Colours of the sky along rays given as three `[v, r]`."""
  x, y, z = direction
  up = -y * jax.lax.rsqrt(x * x + y * y + z * z)
  t = jnp.clip(up * 1.6, 0, 1)
  return [a + t * (b - a) for a, b in zip(_HORIZON, _ZENITH, strict=True)]
