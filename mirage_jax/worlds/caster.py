"""Casting rays at boxes and rounds.

All rays of a view share their origin, so what depends on origin and solid is
computed once a view; what is left for a ray and a solid is a slab test (Kay and
Kajiya 1986) or a quadratic. Solids outside a view's frustum are dropped and the
rest visited front to back, in blocks, until all rays have hit something nearer
than all that is left. The rank of the nearest solid rides in the low bits of
its depth, so that one minimum keeps both: depths are exact to 2^-14.

Axes: v views, r rays of a view, p solids.
"""

import flax.struct
import jax
import jax.numpy as jnp

from mirage_jax.arrays import Array, Float, Int
from mirage_jax.worlds.solids import Solids, world_half

NEAR_M = 0.02
_BLOCK = 8
_RANK_BITS = 9
_RANKS = 1 << _RANK_BITS
_MISS = 1e9


@flax.struct.dataclass
class Views:
  """Bundles of rays with a common origin.

  Attributes:
    origin: `[v, 3]` metres.
    forward: `[v, 3]` the direction along which depth is measured.
    directions: `[v, 3, r]` rays, of length 1 along `forward`.
    sides: `[v, 4, 3]` normals of the planes that bound the bundle, inwards.
  """

  origin: Float[Array, 'v 3']
  forward: Float[Array, 'v 3']
  directions: Float[Array, 'v 3 r']
  sides: Float[Array, 'v 4 3']


def cast(
  views: Views, boxes: Solids, rounds: Solids
) -> tuple[Float[Array, 'v r'], Int[Array, 'v r']]:
  """Nearest hits of all rays.

  Args:
    views: the rays.
    boxes: `[v, p]`.
    rounds: `[v, q]`.

  Returns:
    Depth along `forward` (`inf` where nothing is hit), and the index of the
    solid hit among boxes and rounds joined (0 where nothing is hit).
  """
  x, y, z = (views.directions[:, i] for i in range(3))
  inverse_y = 1 / _nonzero(y)
  squares = (x * x, y * y, z * z, x * y, x * z, y * z)
  box_order, box_near = _visible(views, boxes)
  round_order, round_near = _visible(views, rounds)
  code = jnp.full(x.shape, _encode(jnp.float32(_MISS), 0), jnp.int32)
  code = _march(
    lambda row: _hit_box((x, y, z), inverse_y, row),
    _sort(_box_rows(views, boxes), box_order),
    box_near,
    code,
    0,
  )
  code = _march(
    lambda row: _hit_round((x, y, z), squares, inverse_y, row),
    _sort(_round_rows(views, rounds), round_order),
    round_near,
    code,
    box_near.shape[1],
  )
  depth = jax.lax.bitcast_convert_type(code, jnp.float32)
  order = jnp.concatenate([box_order, round_order + boxes.yaw.shape[1]], axis=1)
  index = jnp.take_along_axis(order, code & (_RANKS - 1), axis=1)
  missed = depth > 0.5 * _MISS
  return jnp.where(missed, jnp.inf, depth), jnp.where(missed, 0, index)


def _nonzero(x):
  return jnp.where(jnp.abs(x) < 1e-7, 1e-7, x)


def _encode(depth, rank):
  bits = jax.lax.bitcast_convert_type(depth, jnp.int32)
  return (bits & ~(_RANKS - 1)) | rank


def _visible(views: Views, solids: Solids):
  """Order of the solids, front to back, and lower bounds of their depth."""
  half = world_half(solids)
  offset = solids.centre - views.origin[:, None]
  reach = lambda n: (
    jnp.einsum('v...i,vpi->v...p', n, offset)
    + jnp.einsum('v...i,vpi->v...p', jnp.abs(n), half)
  )
  inside = (reach(views.sides) > 0).all(1) & (reach(views.forward) > NEAR_M)
  inside &= (half > 0).any(-1)
  near = jnp.maximum(-reach(-views.forward), NEAR_M)
  near = jnp.where(inside, near, jnp.inf)  # [v, p]
  slots = min(_RANKS // 2, -(-near.shape[1] // _BLOCK) * _BLOCK)
  fill = max(0, slots - near.shape[1])
  near = jnp.pad(near, ((0, 0), (0, fill)), constant_values=jnp.inf)
  # One word sorts several times faster than a key and an index.
  mask = (1 << near.shape[1].bit_length()) - 1
  word = jax.lax.bitcast_convert_type(near, jnp.int32) & ~mask
  word = jnp.sort(word | jnp.arange(near.shape[1]), axis=1)[:, :slots]
  near = jax.lax.bitcast_convert_type(word & ~mask, jnp.float32)
  return jnp.minimum(word & mask, solids.yaw.shape[1] - 1), near


def _sort(rows, order):
  return jnp.take_along_axis(rows, order[..., None], axis=1)


def _march(test, rows, near, code, first_rank):
  """Least code of all rays over the solids `rows [v, p, k]`, in blocks."""
  blocks = rows.shape[1] // _BLOCK

  def unfinished(carry):
    block, code = carry
    depth = jax.lax.bitcast_convert_type(code.max(1), jnp.float32)
    index = jnp.minimum(block, blocks - 1) * _BLOCK
    bound = jax.lax.dynamic_slice_in_dim(near, index, 1, 1)[:, 0]
    return (block < blocks) & (depth > bound).any()

  def step(carry):
    block, code = carry
    some = jax.lax.dynamic_slice_in_dim(rows, block * _BLOCK, _BLOCK, 1)
    for i in range(_BLOCK):
      depth = test([some[:, i, k, None] for k in range(rows.shape[2])])
      rank = first_rank + block * _BLOCK + i
      code = jnp.minimum(code, _encode(depth, rank))
    return block + 1, code

  return jax.lax.while_loop(unfinished, step, (jnp.int32(0), code))[1]


def _box_rows(views: Views, boxes: Solids):
  """`[v, p, 8]`: centre in the box's axes, half extents, cos and sin of yaw."""
  x, y, z = jnp.moveaxis(boxes.centre - views.origin[:, None], -1, 0)
  c, s = jnp.cos(boxes.yaw), jnp.sin(boxes.yaw)
  centre = (c * x - s * z, y, s * x + c * z)
  half = jnp.moveaxis(boxes.half, -1, 0)
  return jnp.stack([*centre, *half, c, s], -1)


def _hit_box(direction, inverse_y, row):
  ox, oy, oz, hx, hy, hz, c, s = row
  x, _, z = direction
  inverse_x, inverse_z = (
    1 / _nonzero(c * x - s * z),
    1 / _nonzero(s * x + c * z),
  )
  mx, my, mz = ox * inverse_x, oy * inverse_y, oz * inverse_z
  rx, ry = jnp.abs(hx * inverse_x), jnp.abs(hy * inverse_y)
  rz = jnp.abs(hz * inverse_z)
  enter = jnp.maximum(jnp.maximum(mx - rx, my - ry), mz - rz)
  leave = jnp.minimum(jnp.minimum(mx + rx, my + ry), mz + rz)
  return jnp.where((enter < leave) & (enter > NEAR_M), enter, _MISS)


def _round_rows(views: Views, rounds: Solids):
  """`[v, p, 12]`: the quadric `d'Qd, d'Qo, o'Qo - 1` and the slab in y."""
  axes = round_axes(rounds)  # [v, p, 3 (own axis), 3 (world)]
  radius = jnp.maximum(rounds.half, 1e-9)
  weight = 1 / radius**2
  weight = weight.at[..., 1].multiply(1 - rounds.upright)
  quadric = jnp.einsum('vpi,vpij,vpik->vpjk', weight, axes, axes)
  offset = views.origin[:, None] - rounds.centre
  linear = jnp.einsum('vpjk,vpk->vpj', quadric, offset)
  constant = (linear * offset).sum(-1) - 1
  q = lambda i, j: quadric[..., i, j]
  square = (q(0, 0), q(1, 1), q(2, 2), 2 * q(0, 1), 2 * q(0, 2), 2 * q(1, 2))
  slab = jnp.where(rounds.upright > 0, rounds.half[..., 1], 1e3)
  linear = jnp.moveaxis(linear, -1, 0)
  rows = [*square, *linear, constant, -offset[..., 1], slab]
  return jnp.stack(rows, -1)


def round_axes(rounds: Solids) -> Float[Array, '*p 3 3']:
  """Unit vectors of the rounds' own x, y, z in the world."""
  c, s = jnp.cos(rounds.yaw), jnp.sin(rounds.yaw)
  ct, st = jnp.cos(rounds.tilt), jnp.sin(rounds.tilt)
  zero = jnp.zeros_like(c)
  x = jnp.stack([c, zero, -s], -1)
  y = jnp.stack([s * st, ct, c * st], -1)
  z = jnp.stack([s * ct, -st, c * ct], -1)
  return jnp.stack([x, y, z], -2)


def _hit_round(direction, squares, inverse_y, row):
  square, linear, (constant, oy, hy) = row[:6], row[6:9], row[9:]
  a = sum(q * k for q, k in zip(squares, square, strict=True))
  b = sum(d * k for d, k in zip(direction, linear, strict=True))
  determinant = b * b - a * constant
  root = jnp.sqrt(jnp.maximum(determinant, 0))
  inverse_a = 1 / _nonzero(a)
  my, ry = oy * inverse_y, jnp.abs(hy * inverse_y)
  enter = jnp.maximum((-b - root) * inverse_a, my - ry)
  leave = jnp.minimum((-b + root) * inverse_a, my + ry)
  hit = (determinant > 0) & (enter < leave) & (enter > NEAR_M)
  return jnp.where(hit, enter, _MISS)
