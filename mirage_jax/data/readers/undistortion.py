"""Lens distortion (Brown-Conrady, OpenCV's model) and its removal.

`x, y` are a ray's coordinates at z = 1. The lens moves them to

  x' = x (1 + k1 r^2 + k2 r^4 + k3 r^6 + k4 r^8) + 2 p1 x y + p2 (r^2 + 2 x^2)
  y' = y (1 + ...) + p1 (r^2 + 2 y^2) + 2 p2 x y

with r^2 = x^2 + y^2. Pixels sample at their centres (u + 0.5).
"""

import dataclasses

import numpy as np

from mirage_jax.arrays import Float, UInt8


@dataclasses.dataclass(frozen=True)
class Lens:
  """Coefficients of the radial (k) and tangential (p) terms."""

  k1: float = 0.0
  k2: float = 0.0
  k3: float = 0.0
  k4: float = 0.0
  p1: float = 0.0
  p2: float = 0.0

  @property
  def is_pinhole(self) -> bool:
    """Tests whether nothing is distorted."""
    return not any(dataclasses.astuple(self))

  def distort(self, xy: Float[np.ndarray, '*p 2']) -> np.ndarray:
    """Projects the ray `xy` through the lens."""
    x, y = xy[..., 0], xy[..., 1]
    r2 = x * x + y * y
    radial = 1 + r2 * (self.k1 + r2 * (self.k2 + r2 * (self.k3 + r2 * self.k4)))
    return np.stack(
      [
        x * radial + 2 * self.p1 * x * y + self.p2 * (r2 + 2 * x * x),
        y * radial + self.p1 * (r2 + 2 * y * y) + 2 * self.p2 * x * y,
      ],
      axis=-1,
    )

  def undistort(
    self, xy: Float[np.ndarray, '*p 2'], steps: int = 50
  ) -> np.ndarray:
    """The ray that the lens shows at `xy` (fixed-point iteration).

    Raises:
      ValueError: the lens is too strong to be inverted there.
    """
    ray = np.array(xy, np.float64)
    with np.errstate(over='ignore', invalid='ignore'):
      for _ in range(steps):
        ray = ray + (xy - self.distort(ray))
    if not np.abs(self.distort(ray) - xy).max() < 1e-4:
      raise ValueError(
        f'cannot undo the distortion {self}: it folds the image over itself; '
        'check k1, k2, k3, k4, p1, p2 or undistort the images beforehand'
      )
    return ray


def pinhole_of(
  lens: Lens, intrinsics: Float[np.ndarray, '4'], height: int, width: int
) -> Float[np.ndarray, '4']:
  """Pixel intrinsics of a pinhole that sees only what the lens saw.

  The largest rectangle of rays inside the distorted image's border becomes the
  whole image, so that no pixel of the undistorted image is without content.
  """
  fx, fy, cx, cy = intrinsics
  u, v = np.arange(width) + 0.5, np.arange(height) + 0.5
  sides = {
    'left': np.stack([np.full(height, u[0]), v], -1),
    'right': np.stack([np.full(height, u[-1]), v], -1),
    'top': np.stack([u, np.full(width, v[0])], -1),
    'bottom': np.stack([u, np.full(width, v[-1])], -1),
  }
  rays = {
    name: lens.undistort((side - (cx, cy)) / (fx, fy))
    for name, side in sides.items()
  }
  left, right = rays['left'][:, 0].max(), rays['right'][:, 0].min()
  top, bottom = rays['top'][:, 1].max(), rays['bottom'][:, 1].min()
  fx, fy = (u[-1] - u[0]) / (right - left), (v[-1] - v[0]) / (bottom - top)
  return np.array([fx, fy, u[0] - left * fx, v[0] - top * fy])


def source_pixels(
  lens: Lens,
  intrinsics: Float[np.ndarray, '4'],
  pinhole: Float[np.ndarray, '4'],
  height: int,
  width: int,
) -> Float[np.ndarray, 'h w 2']:
  """Array coordinates `(column, row)` of what each pinhole pixel shows."""
  uv = np.stack(
    np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5), axis=-1
  )
  seen = lens.distort((uv - pinhole[2:]) / pinhole[:2])
  column_row = seen * intrinsics[:2] + intrinsics[2:] - 0.5
  return np.clip(column_row, 0, [width - 1, height - 1])


def sample_bilinear(
  image: UInt8[np.ndarray, 'h w c'], at: Float[np.ndarray, 'h w 2']
) -> UInt8[np.ndarray, 'h w c']:
  """Colours at array coordinates `(column, row)` inside the image."""
  height, width = image.shape[:2]
  low = np.minimum(at.astype(int), [width - 2, height - 2])
  fraction = (at - low)[..., None, :]
  u, v = low[..., 0], low[..., 1]
  fu, fv = fraction[..., 0], fraction[..., 1]
  top = image[v, u] * (1 - fu) + image[v, u + 1] * fu
  bottom = image[v + 1, u] * (1 - fu) + image[v + 1, u + 1] * fu
  return np.round(top * (1 - fv) + bottom * fv).astype(image.dtype)


def sample_nearest(
  image: Float[np.ndarray, 'h w'], at: Float[np.ndarray, 'h w 2']
) -> Float[np.ndarray, 'h w']:
  """Values at the pixel nearest to array coordinates `(column, row)`."""
  nearest = np.round(at).astype(int)
  return image[nearest[..., 1], nearest[..., 0]]
