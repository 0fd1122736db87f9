"""Random colours and materials.

Functions take uniform numbers, not keys: one draw serves a whole scene, which
keeps programs small.
"""

import jax
import jax.numpy as jnp
import numpy as np

from mirage_jax.arrays import Array, Float
from mirage_jax.worlds.solids import Material, material, stack

FURNISHING = (
  'timber', 'fabric', 'second', 'paint', 'dark', 'front', 'screen', 'monitor',
  'books', 'metal', 'leaf', 'shade', 'doors', 'drawers', 'legs',
)  # fmt: skip
DRAWS = 22  # uniform numbers that `furnishing` takes


def role(name: str) -> int:
  """Index of a material in the palette `furnishing`."""
  return FURNISHING.index(name)


def colours(u: Float[Array, '*n 3'], saturation, value) -> Float[Array, '*n 3']:
  """Colours of uniform hue; saturation and value within `[n, 2]` ranges."""
  saturation, value = np.float32(saturation), np.float32(value)
  s = saturation[..., 0] + u[..., 1] * (saturation[..., 1] - saturation[..., 0])
  v = value[..., 0] + u[..., 2] * (value[..., 1] - value[..., 0])
  hue = u[..., :1] * 6 + np.array([0, 4, 2], np.float32)
  k = jnp.abs(hue % 6 - 3) - 1
  return v[..., None] * (1 - s[..., None] * (1 - jnp.clip(k, 0, 1)))


def timbers(u: Float[Array, '*n 2']) -> Float[Array, '*n 3']:
  """From pale birch to walnut."""
  pale = np.array([0.86, 0.7, 0.5], np.float32)
  dark = np.array([0.36, 0.22, 0.13], np.float32)
  red = np.array([0.06, 0, -0.03], np.float32)
  return pale + u[..., :1] * (dark - pale) + red * (u[..., 1:] - 0.5)


def furnishing(u: Float[Array, ' n']) -> Material:
  """The materials of a piece of furniture, named by `FURNISHING`."""
  timber = timbers(u[:2])
  fabric, second, paint, screen, shade = colours(
    u[2:17].reshape(5, 3),
    [(0.3, 0.8), (0.3, 0.8), (0.0, 0.6), (0.4, 0.9), (0.1, 0.4)],
    [(0.35, 0.85), (0.35, 0.85), (0.5, 0.95), (0.4, 0.9), (0.9, 1.0)],
  )
  body = jnp.where(u[20] < 0.5, timber, paint)
  leaf = np.float32([0.2, 0.45, 0.18]) * (0.8 + 0.5 * u[17:20])
  seed = jnp.floor(u[21] * 65536)
  dark = (0.06, 0.06, 0.07)
  grain = dict(noise=0.22, grain=(1.5, 14.0), seed=seed)
  made = dict(
    timber=material(timber, **grain),
    fabric=material(fabric, noise=0.14, grain=(9.0, 9.0), seed=seed),
    second=material(second, noise=0.14, grain=(9.0, 9.0), seed=seed),
    paint=material(paint, noise=0.04, grain=(2.0, 2.0), seed=seed),
    dark=material(dark, noise=0.0),
    front=material(
      timber, timber * 0.7, line=(0.06, 0.09), face=2.0, tint=0.06, **grain
    ),
    screen=material(
      screen, dark, line=(0.06, 0.09), noise=0.7, grain=(3.0, 4.0), face=2.0
    ),
    monitor=material(
      (0.25, 0.5, 0.85), dark, line=(0.08, 0.1), noise=0.5, grain=(5.0, 6.0),
      face=2.0,
    ),
    books=material(
      (0.5, 0.42, 0.38), (0.1, 0.08, 0.07), cell=(0.055, 0.33),
      line=(0.1, 0.0), tint=0.75, noise=0.05, face=2.0, seed=seed,
    ),
    metal=material((0.75, 0.72, 0.66), noise=0.0),
    leaf=material(leaf, noise=0.55, grain=(9.0, 9.0), seed=seed),
    shade=material(shade, noise=0.05, glow=0.75),
    doors=material(
      body, body * 0.65, line=(0.09, 0.06), face=2.0, noise=0.15,
      grain=(6.0, 1.5), seed=seed,
    ),
    drawers=material(
      timber * 0.9, timber * 0.5, line=(0.06, 0.12), face=2.0, **grain
    ),
    legs=material(timber * 0.75, noise=0.1),
  )  # fmt: skip
  return stack([made[name] for name in FURNISHING])


def floor(u: Float[Array, '9']) -> Material:
  """Planks, tiles, planks across or carpet, fixed in the world."""
  timber = timbers(u[:2])
  stone, cloth = colours(
    u[2:8].reshape(2, 3),
    [(0.05, 0.3), (0.25, 0.6)],
    [(0.55, 0.9), (0.35, 0.75)],
  )
  shared = dict(anchored=0.0, seed=jnp.floor(u[7] * 65536))
  kinds = [
    material(
      timber, timber * 0.55, cell=(0.18, 1.4), line=(0.07, 0.012), tint=0.1,
      noise=0.2, grain=(12.0, 1.2), **shared,
    ),
    material(
      stone, stone * 0.6, cell=(0.5, 0.5), line=(0.05, 0.05), tint=0.08,
      noise=0.12, grain=(4.0, 4.0), **shared,
    ),
    material(
      timber, timber * 0.55, cell=(1.1, 0.22), line=(0.015, 0.07), shift=0.37,
      tint=0.12, noise=0.18, grain=(1.2, 12.0), **shared,
    ),
    material(
      cloth, cloth * 0.75, cell=(0.8, 0.8), line=(0.22, 0.22), tint=0.04,
      noise=0.16, grain=(8.0, 8.0), **shared,
    ),
  ]  # fmt: skip
  return choose(u[8], kinds)


def wall(u: Float[Array, '6']) -> Material:
  """Plaster, stripes, brick or panels, fixed in the world."""
  pale = colours(u[:3], (0.08, 0.42), (0.72, 0.95))
  brick = np.float32([0.66, 0.36, 0.27]) * (0.8 + 0.4 * u[3])
  shared = dict(anchored=0.0, face=1.0, seed=jnp.floor(u[4] * 65536))
  kinds = [
    material(pale, noise=0.1, grain=(1.7, 1.7), **shared),
    material(
      pale, pale * 0.8, cell=(0.36, 50.0), line=(0.5, 0.0), noise=0.06, **shared
    ),
    material(
      brick, (0.74, 0.71, 0.66), cell=(0.42, 0.14), line=(0.05, 0.14),
      shift=0.5, tint=0.12, noise=0.14, **shared,
    ),
    material(
      pale, pale * 0.78, cell=(0.7, 0.9), line=(0.08, 0.07), tint=0.03,
      noise=0.06, **shared,
    ),
  ]  # fmt: skip
  return choose(u[5], kinds)


def choose(u: Float[Array, ''], options: list):
  """One of several trees of equal shapes, by a uniform number."""
  which = jnp.minimum((u * len(options)).astype(jnp.int32), len(options) - 1)
  return jax.tree.map(lambda x: jnp.asarray(x)[which], stack(options))


def car(u: Float[Array, '*n 12']) -> Float[Array, '*n 4 3']:
  """Colours of paint, glass, tyres and lights."""
  paint = colours(u[..., :3], (0.1, 0.9), (0.35, 0.95))
  rest = np.float32([[0.16, 0.2, 0.25], [0.08, 0.08, 0.09], [0.95, 0.93, 0.8]])
  rest = jnp.broadcast_to(rest, (*paint.shape[:-1], 3, 3))
  return jnp.concatenate([paint[..., None, :], rest], -2)


def person(u: Float[Array, '*n 12']) -> Float[Array, '*n 4 3']:
  """Colours of skin, hair, shirt and trousers."""
  pale = np.float32([0.95, 0.77, 0.65])
  dark = np.float32([0.42, 0.28, 0.2])
  skin = pale + u[..., :1] * (dark - pale)
  hair = timbers(u[..., 1:3]) * 0.45
  cloth = colours(
    u[..., 3:9].reshape(*u.shape[:-1], 2, 3),
    [(0.5, 0.95), (0.2, 0.7)],
    [(0.5, 0.95), (0.2, 0.5)],
  )
  return jnp.concatenate([skin[..., None, :], hair[..., None, :], cloth], -2)
