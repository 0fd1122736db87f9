"""Shapes written down once, whose spans are affine in a few measures.

A maker is a Python function of measures (say, a width) that lists parts; it is
run once for every measure when the module is imported, and what remains under
`jax.jit` is one small matrix product for all parts of all pieces.
"""

import dataclasses
from collections.abc import Callable

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np

from mirage_jax.arrays import Array, Float, Int
from mirage_jax.worlds.solids import ABSENT_M, Material, Solids


@dataclasses.dataclass(frozen=True)
class Part:
  """One solid of a template.

  Attributes:
    made_of: index into the palette.
    lo: least (x, height, z).
    hi: greatest (x, height, z).
    upright: 1 for a cylinder among rounds.
    fit: if given, how many cells of the material fill the face across z.
    group: a small number to tell the parts of one template apart.
  """

  made_of: int
  lo: tuple
  hi: tuple
  upright: float = 0.0
  fit: tuple[int, int] = (0, 0)
  group: int = 0


@flax.struct.dataclass
class Template:
  """Parts `[p]` whose spans are `[1, measures] @ span`.

  Attributes:
    span: `[1 + measures, p, 2, 3]` lo and hi.
    made_of: `[p]`; upright: `[p]`; fit: `[p, 2]`; group: `[p]`.
  """

  span: Float[Array, '*k m p 2 3']
  made_of: Int[Array, '*k p']
  upright: Float[Array, '*k p']
  fit: Float[Array, '*k p 2']
  group: Int[Array, '*k p']


def template(
  maker: Callable[..., list[Part]], measures: int, slots: int | None = None
) -> Template:
  """The parts that `maker(*measures)` lists, filled up to `slots`."""

  def spans(at):
    parts = maker(*at)
    absent = [Part(0, (0, 0, 0), (0, 0, 0))] * ((slots or 0) - len(parts))
    return parts + absent, np.array(
      [[p.lo, p.hi] for p in parts + absent], np.float32
    ).reshape(-1, 2, 3)

  parts, constant = spans(np.zeros(measures))
  slopes = [spans(unit)[1] - constant for unit in np.eye(measures)]
  return Template(
    span=np.stack([constant, *slopes]),
    made_of=np.array([p.made_of for p in parts], np.int32),
    upright=np.array([p.upright for p in parts], np.float32),
    fit=np.array([p.fit for p in parts], np.float32).reshape(-1, 2),
    group=np.array([p.group for p in parts], np.int32),
  )


def select(templates: list[Template], kind) -> Template:
  """One of several templates of equal slots and measures."""
  return jax.tree.map(lambda *x: jnp.asarray(np.stack(x))[kind], *templates)


def build(
  shape: Template, palette: Material, *measures: float | Float[Array, '']
) -> Solids:
  """Solids `[p]` of a template; parts of negative extent are absent."""
  scale = jnp.stack([jnp.float32(1), *[jnp.asarray(m) for m in measures]])
  span = jnp.einsum('m,mpji->jpi', scale, jnp.asarray(shape.span))
  lo, hi = span[0], span[1]
  exists = (hi > lo).all(-1, keepdims=True)
  centre = (lo + hi) / 2 * np.array([1, -1, 1], np.float32)
  half = jnp.where(exists, (hi - lo) / 2, 0.0)
  made_of = jax.tree.map(lambda x: jnp.asarray(x)[shape.made_of], palette)
  cell = jnp.where(
    shape.fit > 0, 2 * half[:, :2] / jnp.maximum(shape.fit, 0.1), made_of.cell
  )
  zero = jnp.zeros(half.shape[0])
  return Solids(
    centre=jnp.where(exists, centre, ABSENT_M),
    half=half,
    yaw=zero,
    tilt=zero,
    upright=zero + shape.upright,
    object_id=jnp.zeros(half.shape[0], jnp.int32),
    dynamic=jnp.zeros(half.shape[0], bool),
    material=made_of.replace(cell=jnp.maximum(cell, 1e-2)),
  )
