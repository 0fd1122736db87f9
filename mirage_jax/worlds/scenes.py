"""A scene: solids, light, what moves, and where a camera may go."""

import flax.struct
import jax
import jax.numpy as jnp

from mirage_jax.arrays import Array, Bool, Float, Int
from mirage_jax.worlds.movers import Movers, mover_solids, mover_state
from mirage_jax.worlds.shading import Lighting
from mirage_jax.worlds.solids import Solids, flatten, join, world_half


@flax.struct.dataclass
class Curves:
  """Closed curves through free space, at the ground, sampled evenly.

  Attributes:
    points: `[c, k, 2]` x and z, metres.
    length: `[c]` metres.
    exists: `[c]`.
    trail: `[k, 2]` an open curve that never comes back to itself.
    trail_length: metres.
  """

  points: Float[Array, 'c k 2']
  length: Float[Array, ' c']
  exists: Bool[Array, ' c']
  trail: Float[Array, 'k 2']
  trail_length: Float[Array, '']


@flax.struct.dataclass
class Scene:
  """A world.

  Attributes:
    boxes: `[p]`, static.
    rounds: `[q]`, static.
    movers: what moves.
    lighting: the light.
    curves: where a camera may go.
    eye_m: height of the camera over the ground.
    objects: `[o]` ids of static objects that clips report; 0 where none.
  """

  boxes: Solids
  rounds: Solids
  movers: Movers
  lighting: Lighting
  curves: Curves
  eye_m: Float[Array, '']
  objects: Int[Array, ' o']


def solids_at(scene: Scene, time_s: Float[Array, '']) -> tuple[Solids, Solids]:
  """Boxes `[p]` and rounds `[q]` at a time."""
  boxes, rounds = [scene.boxes], [scene.rounds]
  for moving in mover_solids(scene.movers, time_s):
    boxes.append(flatten(moving[0]))
    rounds.append(flatten(moving[1]))
  return join(boxes), join(rounds)


def objects_over(
  scene: Scene, time_s: Float[Array, ' t']
) -> tuple[Float[Array, 't o 3'], Float[Array, 't o 3'], Float[Array, 't o 3']]:
  """Position, velocity and box of every object, seen or not.

  Static objects come first, in the order of `scene.objects`, then the movers.
  Boxes have the world's axes, are centred at the position, and hold all of the
  object at this time. Slots without an object are zero.
  """
  solids = join([scene.boxes, scene.rounds])
  half = world_half(solids)
  member = solids.object_id[None] == scene.objects[:, None]
  member &= (scene.objects > 0)[:, None] & (half > 0).any(-1)
  low, high = _bounds(solids.centre, half, member)
  still = (low + high) / 2, jnp.zeros_like(low), high - low
  moving = jax.vmap(lambda t: _movers_at(scene.movers, t))(time_s)
  frames = time_s.shape[0]
  position, velocity, size = (
    jnp.concatenate([jnp.broadcast_to(a, (frames, *a.shape)), b], 1)
    for a, b in zip(still, moving, strict=True)
  )
  return position, velocity, size


def _movers_at(movers: Movers, time_s):
  state = lambda t: mover_state(movers, t)[0]
  position, velocity = jax.jvp(state, (time_s,), (jnp.ones_like(time_s),))
  lows, highs = [], []
  for parts in mover_solids(movers, time_s):
    solids = jax.tree.map(lambda *x: jnp.concatenate(x, 1), *parts)
    half = world_half(solids)
    low, high = jax.vmap(_bounds)(
      solids.centre, half, (half > 0).any(-1)[:, None]
    )
    lows.append(low[:, 0])
    highs.append(high[:, 0])
  low, high = jnp.concatenate(lows), jnp.concatenate(highs)
  exists = movers.exists[:, None]
  reach = jnp.maximum(high - position, position - low)
  return tuple(
    jnp.where(exists, x, 0.0) for x in (position, velocity, 2 * reach)
  )


def _bounds(centre, half, member):
  """Bounds `[o, 3]` of solids `[p]` by `member [o, p]`; 0 where none are."""
  low = jnp.where(member[..., None], centre - half, jnp.inf).min(1)
  high = jnp.where(member[..., None], centre + half, -jnp.inf).max(1)
  some = member.any(1)[:, None]
  return jnp.where(some, low, 0.0), jnp.where(some, high, 0.0)


def along(
  points: Float[Array, 'k 2'], share: Float[Array, '*n']
) -> Float[Array, '*n 2']:
  """Points of a closed curve; `share` 1 is once round."""
  count = points.shape[0]
  at = (share - jnp.floor(share)) * count
  low = jnp.minimum(at.astype(jnp.int32), count - 1)
  rest = (at - low)[..., None]
  return (1 - rest) * points[low] + rest * points[(low + 1) % count]
