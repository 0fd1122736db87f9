"""A scene: solids, light, what moves, and where a camera may go."""

import flax.struct
import jax
import jax.numpy as jnp

from mirage_jax.arrays import Array, Bool, Float, Int
from mirage_jax.worlds.movers import Movers, mover_rounds, mover_state
from mirage_jax.worlds.shading import Lighting
from mirage_jax.worlds.solids import Solids, join, world_half


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
    objects: `[o]` ids of the objects that clips report; 0 where none.
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
  boxes, rounds = mover_rounds(scene.movers, time_s)
  return join([scene.boxes, boxes]), join([scene.rounds, rounds])


def objects_at(
  scene: Scene, time_s: Float[Array, '']
) -> tuple[Float[Array, 'o 3'], Float[Array, 'o 3'], Float[Array, 'o 3']]:
  """Position, velocity and box of every object, seen or not.

  Boxes have the world's axes, are centred at the position, and hold all of the
  object at this time. Slots without an object are zero.
  """
  solids = join(list(solids_at(scene, time_s)))
  half = world_half(solids)
  member = solids.object_id[None] == scene.objects[:, None]
  member &= (scene.objects > 0)[:, None] & (half > 0).any(-1)
  low = jnp.where(member[..., None], solids.centre - half, jnp.inf).min(1)
  high = jnp.where(member[..., None], solids.centre + half, -jnp.inf).max(1)
  present = member.any(1)[:, None]
  low, high = jnp.where(present, low, 0.0), jnp.where(present, high, 0.0)
  position, velocity = (low + high) / 2, jnp.zeros_like(low)
  ids, state = scene.movers.object_id, lambda t: mover_state(scene.movers, t)
  (centre, _), (speed, _) = jax.jvp(state, (time_s,), (jnp.ones_like(time_s),))
  moving = scene.objects[:, None] == ids[None]
  which, moves = jnp.argmax(moving, 1), moving.any(1)[:, None] & present
  position = jnp.where(moves, centre[which], position)
  velocity = jnp.where(moves, speed[which], velocity)
  half = jnp.maximum(high - position, position - low)
  return position, velocity, jnp.where(present, 2 * half, 0.0)


def along(
  points: Float[Array, 'k 2'], share: Float[Array, '*n']
) -> Float[Array, '*n 2']:
  """Points of a closed curve; `share` 1 is once round."""
  count = points.shape[0]
  at = (share - jnp.floor(share)) * count
  low = jnp.minimum(at.astype(jnp.int32), count - 1)
  rest = (at - low)[..., None]
  return (1 - rest) * points[low] + rest * points[(low + 1) % count]
