"""Poses and lens of a plain video: structure from motion, by COLMAP.

Features are matched between frames, and cameras and points are found that
explain them (Schoenberger and Frahm, CVPR 2016). Nothing tells how long a
metre is: lengths are scaled so that what is seen is 2 units away, in the median
over all frames and points.
"""

import pathlib
import tempfile
from collections.abc import Sequence
from typing import Any

import imageio_ffmpeg
import numpy as np
from PIL import Image

from mirage_jax.arrays import Float
from mirage_jax.data.readers.recordings import Shot

SUFFIXES = ('.mp4', '.mov', '.m4v', '.mkv', '.webm', '.avi')
USUAL = 2.0  # z-depth in the median
FEWEST = 4  # frames with a pose
SHARE = 0.5  # of the frames that must get one
EVERY_PAIR = 150  # frames up to which all are matched to all
ACROSS = 1600  # pixels of frames that features are looked for in


def extract_frames(video, folder: pathlib.Path, every: int = 1) -> int:
  """Writes every n-th frame of a video as `00000.png`, ...; says how many.

  Raises:
    ValueError: it cannot be read as a video.
  """
  # What it yields is of two kinds: first what the video is, then its frames.
  frames: Any = imageio_ffmpeg.read_frames(str(video), pix_fmt='rgb24')
  count = 0
  try:
    width, height = next(frames)['size']
    for index, frame in enumerate(frames):
      if index % every == 0:
        rgb = np.frombuffer(frame, np.uint8).reshape(height, width, 3)
        Image.fromarray(rgb).save(folder / f'{count:05d}.png')
        count += 1
  except (RuntimeError, StopIteration, OSError) as error:
    words = str(error).strip().splitlines()[-1:]
    raise ValueError(
      f'{video} cannot be read as a video ({" ".join(words) or "no frames"}); '
      'is it whole?'
    ) from None
  finally:
    frames.close()
  return count


def recover_shots(folder: pathlib.Path, seed: int = 0) -> list[Shot]:
  """The images of a folder that a pose was found for, in the order of names.

  All are taken to be by one camera with one radial term.

  Args:
    folder: of images, ordered in time by their names.
    seed: of the random trials.

  Raises:
    ValueError: COLMAP is not installed, or too few poses were found.
  """
  colmap = load_colmap()
  names = sorted(file.name for file in folder.iterdir())
  with tempfile.TemporaryDirectory() as work:
    found = _reconstruct(colmap, folder, names, pathlib.Path(work), seed)
  images = [] if found is None else list(found.images.values())
  posed = sorted((x for x in images if x.has_pose), key=lambda x: x.name)
  if len(posed) < max(FEWEST, SHARE * len(names)):
    raise ValueError(
      f'poses were found for {len(posed)} of {len(names)} frames; expected '
      f'{SHARE:.0%} or more, and at least {FEWEST}: give a sharper video of '
      'things that stand still, walk instead of turning on the spot, or take '
      'more of its frames (--every)'
    )
  scale = USUAL / _usual_depth(found, posed)
  return [_shot(folder / x.name, x, scale) for x in posed]


def load_colmap() -> Any:
  """COLMAP's module.

  Raises:
    ValueError: it is not installed.
  """
  try:
    import pycolmap
  except ImportError:
    raise ValueError(
      'a video has no poses, and finding them needs COLMAP: '
      "pip install -e '.[sfm]'"
    ) from None
  pycolmap.logging.minloglevel = int(pycolmap.logging.FATAL.value)
  return pycolmap


def _reconstruct(
  colmap, folder: pathlib.Path, names: Sequence[str], work: pathlib.Path, seed
):
  """The largest reconstruction; None if there is none."""
  colmap.set_random_seed(seed)
  database = work / 'database.db'
  reader = colmap.ImageReaderOptions()
  reader.camera_model = 'SIMPLE_RADIAL'
  features = colmap.FeatureExtractionOptions()
  features.max_image_size = ACROSS
  print(f'looking for features in {len(names)} frames', flush=True)
  colmap.extract_features(
    database,
    folder,
    camera_mode=colmap.CameraMode.SINGLE,
    reader_options=reader,
    extraction_options=features,
  )
  print('matching them', flush=True)
  if len(names) <= EVERY_PAIR:
    colmap.match_exhaustive(database)
  else:
    colmap.match_sequential(database)
  print('looking for poses', flush=True)
  options = colmap.IncrementalPipelineOptions()
  options.random_seed = seed
  options.min_model_size = FEWEST
  made = colmap.incremental_mapping(database, folder, work, options)
  return max(made.values(), key=lambda x: x.num_reg_images(), default=None)


def _usual_depth(found, posed) -> float:
  """The median z-depth of the points, over all frames that see them."""
  depths = []
  for image in posed:
    at = [p.point3D_id for p in image.points2D if p.has_point3D()]
    if at:
      points = np.array([found.points3D[i].xyz for i in at])
      view = image.cam_from_world().matrix()
      depths.append(points @ view[2, :3] + view[2, 3])
  return float(np.median(np.concatenate(depths)))


def _shot(file: pathlib.Path, image, scale: float) -> Shot:
  """An image with its pose; pixels sample at their centres there as here."""
  view = np.eye(4)
  view[:3] = image.cam_from_world().matrix()
  pose: Float[np.ndarray, '4 4'] = np.linalg.inv(view)
  pose[:3, 3] *= scale
  focal, cx, cy, k1 = image.camera.params
  return Shot(file, (focal, focal, cx, cy), pose.astype(np.float32), k1=k1)
