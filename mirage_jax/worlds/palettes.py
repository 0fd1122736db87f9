"""Random colours and materials."""

import jax
import jax.numpy as jnp

from mirage_jax.arrays import Array, Float, Key
from mirage_jax.worlds.solids import Material, material


def colour(
  key: Key[Array, ''],
  saturation: tuple[float, float] = (0.25, 0.7),
  value: tuple[float, float] = (0.35, 0.9),
) -> Float[Array, '3']:
  """A colour of uniform hue, and saturation and value within ranges."""
  h, s, v = jax.random.uniform(key, (3,))
  s = saturation[0] + s * (saturation[1] - saturation[0])
  v = value[0] + v * (value[1] - value[0])
  k = jnp.abs((h * 6 + jnp.array([0.0, 4.0, 2.0])) % 6 - 3) - 1
  return v * (1 - s + s * jnp.clip(k, 0, 1))


def wood_colour(key: Key[Array, '']) -> Float[Array, '3']:
  """From pale birch to walnut."""
  t, red = jax.random.uniform(key, (2,))
  pale, dark = jnp.array([0.86, 0.7, 0.5]), jnp.array([0.36, 0.22, 0.13])
  return pale + t * (dark - pale) + jnp.array([0.06, 0, -0.03]) * (red - 0.5)


def wood(key: Key[Array, '']) -> Material:
  """Plain grained wood."""
  return material(
    wood_colour(key), noise=0.22, grain=(1.5, 14.0), seed=_seed(key)
  )


def fabric(key: Key[Array, '']) -> Material:
  """Cloth with a faint weave."""
  c = colour(key, (0.3, 0.8), (0.35, 0.85))
  return material(c, c * 0.85, noise=0.14, grain=(9.0, 9.0), seed=_seed(key))


def paint(key: Key[Array, '']) -> Material:
  """Smooth bright paint."""
  c = colour(key, (0.0, 0.6), (0.5, 0.95))
  return material(c, noise=0.04, grain=(2.0, 2.0), seed=_seed(key))


def floor(key: Key[Array, '']) -> Material:
  """Planks, tiles, chequers or carpet, fixed in the world."""
  kind, a, b = jax.random.split(key, 3)
  timber, stone, cloth = wood_colour(a), colour(a, (0.05, 0.3), (0.55, 0.9)), 0
  cloth = colour(b, (0.25, 0.6), (0.35, 0.75))
  shared = dict(anchored=0.0, seed=_seed(b))
  kinds = [
    material(
      timber,
      timber * 0.55,
      cell=(0.18, 1.4),
      line=(0.07, 0.012),
      shift=0.0,
      tint=0.13,
      noise=0.2,
      grain=(12.0, 1.2),
      **shared,
    ),
    material(
      stone,
      stone * 0.6,
      cell=(0.5, 0.5),
      line=(0.05, 0.05),
      tint=0.12,
      noise=0.12,
      grain=(4.0, 4.0),
      **shared,
    ),
    material(
      timber * 1.05,
      timber * 0.55,
      cell=(1.1, 0.22),
      line=(0.015, 0.07),
      shift=0.37,
      tint=0.16,
      noise=0.18,
      grain=(1.2, 12.0),
      **shared,
    ),
    material(
      cloth,
      cloth * 0.75,
      cell=(0.8, 0.8),
      line=(0.22, 0.22),
      tint=0.05,
      noise=0.16,
      grain=(8.0, 8.0),
      **shared,
    ),
  ]
  return choose(kind, kinds)


def wall(key: Key[Array, '']) -> Material:
  """Plaster, stripes, brick or panels, fixed in the world."""
  kind, a, b = jax.random.split(key, 3)
  pale = colour(a, (0.08, 0.42), (0.72, 0.95))
  brick = jnp.array([0.66, 0.36, 0.27]) * (0.8 + 0.4 * jax.random.uniform(b))
  shared = dict(anchored=0.0, face=1.0, seed=_seed(b))
  kinds = [
    material(pale, noise=0.09, grain=(1.7, 1.7), **shared),
    material(
      pale, pale * 0.8, cell=(0.36, 50.0), line=(0.5, 0.0), noise=0.06, **shared
    ),
    material(
      brick,
      (0.74, 0.71, 0.66),
      cell=(0.42, 0.14),
      line=(0.05, 0.14),
      shift=0.5,
      tint=0.2,
      noise=0.14,
      **shared,
    ),
    material(
      pale,
      pale * 0.78,
      cell=(0.7, 0.9),
      line=(0.08, 0.07),
      tint=0.05,
      noise=0.06,
      **shared,
    ),
  ]
  return choose(kind, kinds)


def choose(key: Key[Array, ''], options: list):
  """One of several trees of equal shapes."""
  which = jax.random.randint(key, (), 0, len(options))
  return jax.tree.map(lambda *x: jnp.stack(x)[which], *options)


def _seed(key: Key[Array, '']) -> Float[Array, '']:
  return jax.random.randint(key, (), 0, 1 << 16).astype(jnp.float32)


def person(key: Key[Array, '']) -> Float[Array, '4 3']:
  """Colours of skin, hair, shirt and trousers."""
  skin, hair, shirt, trousers = jax.random.split(key, 4)
  t = jax.random.uniform(skin)
  pale, dark = jnp.array([0.95, 0.77, 0.65]), jnp.array([0.42, 0.28, 0.2])
  return jnp.stack(
    [
      pale + t * (dark - pale),
      wood_colour(hair) * 0.45,
      colour(shirt, (0.5, 0.95), (0.5, 0.95)),
      colour(trousers, (0.2, 0.7), (0.2, 0.5)),
    ]
  )
