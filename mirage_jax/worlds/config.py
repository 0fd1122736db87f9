"""Settings of a world's clips."""

import dataclasses
import math

KINDS = ('rooms', 'streets')
PATHS = ('out_and_back', 'loop', 'random_walk', 'explore')
_MAX_STEP_M = {'rooms': 0.25, 'streets': 0.5}


@dataclasses.dataclass(frozen=True)
class WorldConfig:
  """Settings of `make_clip`; static under `jax.jit`.

  Attributes:
    kind: 'rooms' or 'streets'.
    frames: frames of a clip.
    height: rows of pixels.
    width: columns of pixels.
    rays_per_pixel: a square number; 1 aliases, 4 is a tent filter over nine
      samples shared between neighbours. Depth, ids and masks always come from
      the ray through the pixel's centre.
    paths: names of camera paths, one drawn uniformly for each clip.
    movers: whether people walk and cars drive.
    fps: frames per second.
    fov_deg: horizontal field of view.
    max_step_m: longest step of the camera between frames; None is 0.25 in
      rooms and 0.5 in streets.
    max_turn_deg: largest turn of the camera between frames.

  Raises:
    ValueError: an unknown kind or path, or a size out of range.
  """

  kind: str = 'rooms'
  frames: int = 32
  height: int = 64
  width: int = 64
  rays_per_pixel: int = 4
  paths: tuple[str, ...] = PATHS
  movers: bool = True
  fps: float = 8.0
  fov_deg: float = 80.0
  max_step_m: float | None = None
  max_turn_deg: float = 12.0

  def __post_init__(self):
    object.__setattr__(self, 'paths', tuple(self.paths))
    if self.kind not in KINDS:
      raise ValueError(f"unknown world '{self.kind}'; have {', '.join(KINDS)}")
    for path in self.paths:
      check_path(path)
    if not self.paths:
      raise ValueError(f'paths is empty; give some of {", ".join(PATHS)}')
    if math.isqrt(self.rays_per_pixel) ** 2 != self.rays_per_pixel:
      raise ValueError(
        f'rays_per_pixel is {self.rays_per_pixel}; give a square number: 1, 4,'
        ' 9 or 16'
      )
    if min(self.frames, self.height, self.width, self.rays_per_pixel) < 1:
      raise ValueError(
        f'frames, height, width, rays_per_pixel are {self.frames},'
        f' {self.height}, {self.width}, {self.rays_per_pixel}; give positive'
        ' integers'
      )

  @property
  def step_m(self) -> float:
    """Longest step of the camera between two frames, metres."""
    return self.max_step_m or _MAX_STEP_M[self.kind]

  @property
  def turn_rad(self) -> float:
    """Largest turn of the camera between two frames, radians."""
    return math.radians(self.max_turn_deg)

  @property
  def intrinsics(self) -> tuple[float, float, float, float]:
    """`fx/w, fy/h, cx/w, cy/h` of square pixels."""
    focal = 0.5 / math.tan(math.radians(self.fov_deg) / 2)
    return (focal, focal * self.width / self.height, 0.5, 0.5)


def check_path(name: str) -> str:
  """Returns a known path's name; raises ValueError at any other."""
  if name not in PATHS:
    raise ValueError(f"unknown path '{name}'; have {', '.join(PATHS)}")
  return name
