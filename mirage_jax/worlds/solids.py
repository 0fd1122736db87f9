"""Solids and their materials: what scenes are made of.

The world's axes are those of a level camera: x right, y down, z forward. The
ground is y = 0, so a point `h` metres above it has y = -h. A solid is a box
turned about the vertical, or a round (an ellipsoid, or an upright cylinder).
Absent solids keep their slot and have no extent, so that shapes stay fixed.
"""

import dataclasses

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np

from mirage_jax.arrays import Array, Bool, Float, Int

ABSENT_M = 1e6  # where absent solids are kept


@flax.struct.dataclass
class Material:
  """A tiled, grained surface; every field has the solids' axes first.

  Attributes:
    colour: `[*p, 3]` of the cells, display values in [0, 1].
    line_colour: `[*p, 3]` of the lines between the cells.
    cell: `[*p, 2]` metres; cells of the tiling, along and up.
    line: `[*p, 2]` share of a cell that is line.
    shift: `[*p]` by how many cells every second row is shifted.
    tint: `[*p]` how much brightness and hue differ from cell to cell.
    noise: `[*p]` how much brightness differs within.
    grain: `[*p, 2]` cycles per metre of the noise.
    face: `[*p]` 0: all faces tiled; 1: not top and bottom; 2: only the two
      faces across the solid's own z.
    anchored: `[*p]` 1: the pattern starts at the solid's corner and moves with
      it; 0: it is fixed in the world.
    glow: `[*p]` 0: lit; 1: shines itself.
    seed: `[*p]` of the noise and the tints.
  """

  colour: Float[Array, '*p 3']
  line_colour: Float[Array, '*p 3']
  cell: Float[Array, '*p 2']
  line: Float[Array, '*p 2']
  shift: Float[Array, '*p']
  tint: Float[Array, '*p']
  noise: Float[Array, '*p']
  grain: Float[Array, '*p 2']
  face: Float[Array, '*p']
  anchored: Float[Array, '*p']
  glow: Float[Array, '*p']
  seed: Float[Array, '*p']


@flax.struct.dataclass
class Solids:
  """Boxes or rounds.

  Attributes:
    centre: `[*p, 3]` metres.
    half: `[*p, 3]` half extents in the solid's own axes, metres.
    yaw: `[*p]` radians about the vertical; turns own z towards world x.
    tilt: `[*p]` radians about own x, before the yaw; rounds only.
    upright: `[*p]` 1 for a cylinder among rounds, else 0.
    object_id: `[*p]` int32; 0 is background.
    dynamic: `[*p]` whether the solid belongs to something that moves.
    material: what it is made of.
  """

  centre: Float[Array, '*p 3']
  half: Float[Array, '*p 3']
  yaw: Float[Array, '*p']
  tilt: Float[Array, '*p']
  upright: Float[Array, '*p']
  object_id: Int[Array, '*p']
  dynamic: Bool[Array, '*p']
  material: Material


def material(
  colour,
  line_colour=None,
  *,
  cell=(1.0, 1.0),
  line=(0.0, 0.0),
  shift=0.0,
  tint=0.0,
  noise=0.1,
  grain=(3.0, 3.0),
  face=0.0,
  anchored=1.0,
  glow=0.0,
  seed=0.0,
) -> Material:
  """One material, without axes before its own; see `Material`.

  What does not depend on a key stays NumPy, and so costs no operations.
  """
  colour = _array(colour)
  return Material(
    colour=colour,
    line_colour=colour * np.float32(0.7)
    if line_colour is None
    else _array(line_colour),
    cell=_array(cell),
    line=_array(line),
    shift=_array(shift),
    tint=_array(tint),
    noise=_array(noise),
    grain=_array(grain),
    face=_array(face),
    anchored=_array(anchored),
    glow=_array(glow),
    seed=_array(seed),
  )


def _array(x):
  return x if isinstance(x, jax.Array) else np.asarray(x, np.float32)


def stack(trees: list):
  """Trees of equal shapes on a new first axis; NumPy where all are."""

  def one(*leaves):
    if any(isinstance(x, jax.Array) for x in leaves):
      return jnp.stack(leaves)
    return np.stack(leaves)

  return jax.tree.map(one, *trees)


def join(groups: list[Solids]) -> Solids:
  """Groups `[p]` one after another."""
  return jax.tree.map(lambda *x: jnp.concatenate(x), *groups)


def flatten(solids: Solids, axes: int = 2) -> Solids:
  """Merges the first `axes` axes of solids `[*p]` into one."""
  return jax.tree.map(lambda x: x.reshape(-1, *x.shape[axes:]), solids)


def keep(solids: Solids, exists) -> Solids:
  """Makes solids absent where not `exists`."""
  mask = jnp.broadcast_to(exists, solids.yaw.shape)[..., None]
  return dataclasses.replace(
    solids,
    centre=jnp.where(mask, solids.centre, ABSENT_M),
    half=jnp.where(mask, solids.half, 0.0),
  )


def place(solids: Solids, position, yaw=0.0) -> Solids:
  """Turns solids about the vertical axis through 0, then moves them."""
  c, s = jnp.cos(yaw), jnp.sin(yaw)
  x, y, z = (solids.centre[..., i] for i in range(3))
  centre = jnp.stack([c * x + s * z, y, c * z - s * x], -1)
  present = (solids.half > 0).any(-1, keepdims=True)
  return dataclasses.replace(
    solids,
    centre=jnp.where(present, centre + jnp.asarray(position), ABSENT_M),
    yaw=solids.yaw + yaw,
  )


def label(solids: Solids, object_id, dynamic=False) -> Solids:
  """Gives all solids an object id (0 is background)."""
  ids = jnp.asarray(object_id, jnp.int32)
  return dataclasses.replace(
    solids,
    object_id=jnp.broadcast_to(ids, solids.yaw.shape),
    dynamic=jnp.broadcast_to(jnp.asarray(dynamic), solids.yaw.shape),
  )


def world_half(solids: Solids) -> Float[Array, '*p 3']:
  """Half extents of the boxes in the world's axes that hold the solids."""
  c, s = jnp.abs(jnp.cos(solids.yaw)), jnp.abs(jnp.sin(solids.yaw))
  ct, st = jnp.abs(jnp.cos(solids.tilt)), jnp.abs(jnp.sin(solids.tilt))
  x, y, z = (solids.half[..., i] for i in range(3))
  y, z = ct * y + st * z, st * y + ct * z
  return jnp.stack([c * x + s * z, y, s * x + c * z], -1)
