"""Walks through a level that leave a place and come back to it."""

import dataclasses
import functools

import numpy as np

from mirage_jax.arrays import Float
from mirage_jax.data.sources.doom.casting import first_sector
from mirage_jax.data.sources.doom.levels import NONE, Level

GRID = 32.0  # map units between places
RADIUS = 20.0  # that a walker keeps from walls
HEADROOM, STEP = 56.0, 24.0  # of what can be walked through and onto
MOST_PLACES = 1500
FEWEST_PLACES = 30
REACH = (2, 7)  # places that a walk goes from its start
TURN = (60.0, 120.0)  # degrees that it looks aside on the way
AROUND = ((1, 0), (-1, 0), (0, 1), (0, -1))
SMOOTH = 9  # frames over which headings are averaged

Place = tuple[int, int]


@dataclasses.dataclass(frozen=True, eq=False)
class Region:
  """Places of a level that can be walked between, on a lattice.

  Attributes:
    origin: `[2]` of the lattice, map units.
    neighbours: of each place.
  """

  origin: Float[np.ndarray, '2']
  neighbours: dict[Place, list[Place]]

  def position(self, place: Place) -> Float[np.ndarray, '2']:
    """Position of a place, map units."""
    return self.origin + GRID * np.array(place)


@functools.lru_cache(maxsize=64)
def find_region(level: Level, x: float, y: float) -> Region | None:
  """Finds the region that can be walked to from a point; None if it is tiny."""
  origin = np.array([x, y])
  walls = _walls(level)
  floors = {(0, 0): _floor(level, walls, origin)}
  if floors[0, 0] is None:
    return None
  neighbours: dict[Place, list[Place]] = {}
  waiting = [(0, 0)]
  while waiting and len(neighbours) < MOST_PLACES:
    place = waiting.pop(0)
    neighbours[place] = []
    here = floors[place]
    for dx, dy in AROUND:
      other = place[0] + dx, place[1] + dy
      if other not in floors:
        floors[other] = _floor(level, walls, origin + GRID * np.array(other))
        if floors[other] is not None:
          waiting.append(other)
      there = floors[other]
      if here is not None and there is not None and abs(there - here) <= STEP:
        neighbours[place].append(other)
  region = Region(origin, _connected(neighbours))
  return region if len(region.neighbours) >= FEWEST_PLACES else None


def make_walk(
  make: np.random.Generator, region: Region, frames: int
) -> tuple[Float[np.ndarray, 't 2'], Float[np.ndarray, 't']]:
  """Out and back along a way, looking aside in between.

  Returns:
    Positions in whole map units, and headings in degrees.
  """
  places = list(region.neighbours)
  way = _way(make, region, places[make.integers(len(places))])
  points = _rounded(np.stack([region.position(place) for place in way]))
  time = np.linspace(0, 1, frames)
  there = (1 - np.cos(2 * np.pi * time)) / 2  # 0, 1, 0
  along = there * (len(points) - 1)
  index = np.arange(len(points))
  position = np.stack([np.interp(along, index, x) for x in points.T], axis=1)
  ahead = np.diff(points, axis=0)
  heading = np.unwrap(np.arctan2(ahead[:, 1], ahead[:, 0]))
  heading = np.interp(along, index[:-1] + 0.5, np.degrees(heading))
  # To the side that the way turns to, so that it is not looked back from.
  side = np.sign(heading[frames // 2] - heading[0]) or make.choice([-1, 1])
  aside = side * make.uniform(*TURN)
  wander = make.uniform(-12, 12) * np.sin(
    2 * np.pi * time * make.integers(1, 3)
  )
  angle = heading + aside * there**2 + wander
  padded = np.pad(angle, SMOOTH // 2, mode='edge')
  angle = np.convolve(padded, np.ones(SMOOTH) / SMOOTH, mode='valid')
  return np.round(position), angle


def _way(
  make: np.random.Generator, region: Region, start: Place
) -> list[Place]:
  """The shortest way to some place as far away as walks go."""
  before: dict[Place, Place | None] = {start: None}
  rings = [[start]]
  while rings[-1] and len(rings) <= REACH[1]:
    ring = []
    for place in rings[-1]:
      for other in region.neighbours[place]:
        if other not in before:
          before[other] = place
          ring.append(other)
    rings.append(ring)
  far = [ring for ring in rings[REACH[0] :] if ring] or [rings[1] or rings[0]]
  ring = far[make.integers(len(far))]
  place: Place | None = ring[make.integers(len(ring))]
  way = []
  while place is not None:
    way.append(place)
    place = before[place]
  return way[::-1]


def _rounded(points: Float[np.ndarray, 'p 2']) -> Float[np.ndarray, 'q 2']:
  """A way with its corners cut, twice (Chaikin 1974); its ends stay."""
  for _ in range(2):
    quarter = 0.75 * points[:-1] + 0.25 * points[1:]
    rest = 0.25 * points[:-1] + 0.75 * points[1:]
    middle = np.stack([quarter, rest], axis=1).reshape(-1, 2)
    points = np.concatenate([points[:1], middle, points[-1:]])
  return points


def _connected(
  neighbours: dict[Place, list[Place]],
) -> dict[Place, list[Place]]:
  """Only ways between places that were looked at, both ways."""
  return {
    place: [x for x in others if place in neighbours.get(x, [])]
    for place, others in neighbours.items()
  }


def _walls(level: Level) -> np.ndarray:
  """Lines that nobody walks through: `[l]` bool."""
  right, left = level.right, level.left
  floor = np.maximum(level.floor[right], level.floor[left])
  ceiling = np.minimum(level.ceiling[right], level.ceiling[left])
  step = np.abs(level.floor[right] - level.floor[left])
  single = (right == NONE) | (left == NONE)
  return single | level.blocking | (ceiling - floor < HEADROOM) | (step > STEP)


def _floor(
  level: Level, walls: np.ndarray, point: Float[np.ndarray, '2']
) -> float | None:
  """The height of the floor at a point; None where nobody can stand."""
  start, along = level.start[walls], (level.end - level.start)[walls]
  length = np.maximum((along**2).sum(1), 1e-9)
  share = np.clip(((point - start) * along).sum(1) / length, 0, 1)
  apart = np.linalg.norm(start + share[:, None] * along - point, axis=1)
  if apart.min(initial=np.inf) < RADIUS:
    return None
  sector = first_sector(level, point)
  if sector == NONE:
    return None
  floor, ceiling = level.floor[sector], level.ceiling[sector]
  return float(floor) if ceiling - floor >= HEADROOM else None
