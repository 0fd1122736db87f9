"""The last observation of a world, for `World.undo`."""

import dataclasses

from mirage_jax.geometry.clips import Clip
from mirage_jax.models.rollout import Session


@dataclasses.dataclass(frozen=True)
class Observed:
  """The last observation.

  Attributes:
    clips: its frames `[1, t]`.
    before: the session before it.
    erasures: of the session, before it.
    chunks: generated before it.
  """

  clips: Clip
  before: Session | None
  erasures: int
  chunks: int
