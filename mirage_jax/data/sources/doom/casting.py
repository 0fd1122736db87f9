"""View of a camera in a level: exact depth, cast through its sectors.

The world of Doom is a map with heights. A column of pixels is one ray on the
map; between the lines that the ray crosses, the view of a pixel goes straight
up or down, until it meets the floor or the ceiling of the sector that it is
over, or the wall where the next sector's floor is higher or its ceiling lower.
"""

import dataclasses

import numpy as np

from mirage_jax.arrays import Bool, Float, Int
from mirage_jax.data.sources.doom.levels import NONE, Level

CROSSINGS = 96  # lines that a ray crosses at most
NEAR = 1e-6


@dataclasses.dataclass(frozen=True)
class View:
  """A camera of the game: level, with its horizon in the middle.

  Attributes:
    position: `[3]` x, y and height, map units.
    angle: degrees from the east, anticlockwise.
    focal: of x and y, in image widths and heights.
  """

  position: Float[np.ndarray, '3']
  angle: float
  focal: tuple[float, float]

  @property
  def forward(self) -> Float[np.ndarray, '2']:
    """Direction of view on the map."""
    turn = np.radians(self.angle)
    return np.array([np.cos(turn), np.sin(turn)])


@dataclasses.dataclass(frozen=True)
class Cast:
  """Pixels of a view, `[h, w]`.

  Attributes:
    depth: z-depth in map units; 0 = sky.
    sector: the sector whose floor, ceiling or step it is, seen into.
  """

  depth: Float[np.ndarray, 'h w']
  sector: Int[np.ndarray, 'h w']


def cast(
  level: Level,
  floor: Float[np.ndarray, 's'],
  ceiling: Float[np.ndarray, 's'],
  view: View,
  height: int,
  width: int,
) -> Cast:
  """Casts a ray through the middle of every pixel.

  Args:
    level: its lines.
    floor: heights of the sectors now.
    ceiling: the same.
    view: the camera.
    height, width: of the image.
  """
  u = (np.arange(width) + 0.5) / width - 0.5
  v = (np.arange(height) + 0.5) / height - 0.5
  x, y = view.forward
  right = np.array([y, -x])
  rays = view.forward + (u / view.focal[0])[:, None] * right  # z-depth 1 long
  rise = -v / view.focal[1]  # of a pixel's view, per z-depth
  at, line, enters = _crossings(level, view.position[:2], rays)
  depth = np.zeros((height, width))
  seen = np.full((height, width), NONE)
  open_ = np.ones((height, width), bool)
  eye = view.position[2]
  sector = _first_sector(level, line, enters)
  for k in range(at.shape[1]):
    known = (sector != NONE)[None]
    low = np.where(known, floor[sector], -np.inf)
    high = np.where(known, ceiling[sector], np.inf)
    reach = eye + rise[:, None] * at[None, :, k]
    for plane, hit in (
      (low, open_ & (reach < low)),
      (high, open_ & (reach > high)),
    ):
      meets = (plane - eye) / np.where(rise == 0, np.inf, rise)[:, None]
      skyward = (plane is high) & level.sky[sector][None]
      depth = np.where(hit & ~skyward, meets, depth)
      seen = np.where(hit, sector[None], seen)
      open_ = open_ & ~hit
    beyond = np.where(
      enters[:, k], level.right[line[:, k]], level.left[line[:, k]]
    )
    solid = beyond == NONE
    step = reach < floor[beyond][None]
    hang = reach > ceiling[beyond][None]
    # Between two sectors without a ceiling nothing hangs.
    bare = level.sky[beyond] & (sector != NONE) & level.sky[sector]
    hit = open_ & (solid[None] | step | hang) & np.isfinite(at[None, :, k])
    skyward = hang & bare[None] & ~solid[None]
    depth = np.where(hit & ~skyward, at[None, :, k], depth)
    seen = np.where(hit, np.where(solid, sector, beyond)[None], seen)
    open_ = open_ & ~hit
    sector = np.where(solid, sector, beyond)
    if not open_.any():
      break
  return Cast(depth, seen)


def _crossings(
  level: Level,
  origin: Float[np.ndarray, '2'],
  rays: Float[np.ndarray, 'w 2'],
) -> tuple[
  Float[np.ndarray, 'w k'], Int[np.ndarray, 'w k'], Bool[np.ndarray, 'w k']
]:
  """Lines that rays cross, nearest first: where, which, and to which side.

  Returns:
    z-depth (inf = no more), line, and whether the ray comes out on its right.
  """
  along = level.end - level.start
  to = level.start - origin
  # origin + t ray = start + s along
  cross = rays[:, :1] * along[:, 1] - rays[:, 1:] * along[:, 0]  # [w, l]
  safe = np.where(np.abs(cross) < 1e-12, np.inf, cross)
  t = (to[:, 0] * along[:, 1] - to[:, 1] * along[:, 0]) / safe
  s = (to[:, 0] * rays[:, 1:] - to[:, 1] * rays[:, :1]) / safe
  t = np.where((s >= 0) & (s <= 1) & (t > NEAR), t, np.inf)
  most = min(CROSSINGS, t.shape[1])
  line = np.argsort(t, axis=1, kind='stable')[:, :most]
  at = np.take_along_axis(t, line, axis=1)
  # The right of a line is where `along` turned clockwise points.
  out = np.take_along_axis(cross, line, axis=1) > 0
  return at, line, out


def first_sector(level: Level, point: Float[np.ndarray, '2']) -> int:
  """The sector over which a point of the map lies; `NONE` outside."""
  ray = np.array([[1.0, 1e-3]])  # along no line, as those have whole ends
  at, line, enters = _crossings(level, point, ray)
  if not np.isfinite(at[0, 0]):
    return NONE
  return int(_first_sector(level, line, enters)[0])


def _first_sector(level, line, enters) -> Int[np.ndarray, 'w']:
  """The sector that each ray begins in: before its first line."""
  return np.where(enters[:, 0], level.left[line[:, 0]], level.right[line[:, 0]])
