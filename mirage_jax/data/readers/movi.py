"""Kubric's MOVi datasets (arXiv 2203.03570) as clips.

Depth lies there as the distance from the camera's centre, in 16 bits that span
a range of each clip's own; here it is z-depth. Cameras look along -z (OpenGL
axes), quaternions are w, x, y, z. Segments count instances from 1.

TFDS reads what these datasets are made of (videos, images of 16 bits) only with
TensorFlow and OpenCV installed.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow_datasets as tfds

from mirage_jax.arrays import Bool, Float
from mirage_jax.data.readers import transforms
from mirage_jax.geometry import cameras as pinhole
from mirage_jax.geometry.clips import Clip

FPS = 12.0
OBJECTS = 32  # all clips have so many; those that are missing have no size
MOST = 2**16 - 1
STILL_M = 0.02  # what moves less in a clip stands still
UNUSED = {'forward_flow', 'backward_flow', 'normal', 'object_coordinates'}

Example = Mapping[str, Any]


def is_movi(features: Any) -> bool:
  """Tests whether a dataset of these features is one of MOVi's."""
  return {'video', 'depth', 'segmentations', 'camera', 'instances'} <= set(
    features
  )


def decoders(features: Any) -> dict[str, Any]:
  """Decoders for TFDS; features that a clip does not have stay undecoded."""
  return {x: tfds.decode.SkipDecoding() for x in UNUSED & set(features)}


def to_clip(example: Example) -> Clip:
  """The clip of an example, its objects padded to `OBJECTS`.

  An object is dynamic in all frames if it was tossed, or moves at all.

  Raises:
    ValueError: more objects than `OBJECTS`.
  """
  rgb = np.asarray(example['video'])
  frames, height, width = rgb.shape[:3]
  lens = _intrinsics(example['camera'], height, width)
  segments = np.asarray(example['segmentations'])[..., 0].astype(np.int32)
  instances = example['instances']
  count = len(instances['positions'])
  if max(count, int(segments.max(initial=0))) > OBJECTS:
    raise ValueError(
      f'a clip of {count} objects; expected {OBJECTS} or fewer '
      '(mirage_jax.data.movi.OBJECTS)'
    )
  moves = np.zeros(OBJECTS + 1, bool)  # the background first
  moves[1 : count + 1] = _moves(instances)
  corners = np.asarray(instances['bboxes_3d'])  # [o, t, 8, 3]
  # Corners count x, y and z of the object's axes like binary digits.
  edges = [np.linalg.norm(corners[:, :, i] - corners[:, :, 0], axis=-1)
           for i in (4, 2, 1)]  # fmt: skip
  return Clip(
    rgb=rgb,
    depth_m=_z_depth(example, lens),
    intrinsics=np.tile(lens, (frames, 1)),
    world_from_camera=_poses(example['camera']),
    time_s=np.arange(frames, dtype=np.float32) / np.float32(FPS),
    dynamic=moves[segments],
    object_id=segments,
    object_box=_padded(np.stack(edges, axis=-1)),
    object_position=_padded(corners.mean(2)),
    object_velocity=_padded(np.asarray(instances['velocities'])),
  )


def _intrinsics(
  camera: Example, height: int, width: int
) -> Float[np.ndarray, '4']:
  """Normalised intrinsics of square pixels."""
  focal = float(camera['focal_length']) / float(camera['sensor_width'])
  return np.array([focal, focal * width / height, 0.5, 0.5], np.float32)


def _poses(camera: Example) -> Float[np.ndarray, 't 4 4']:
  """`world_from_camera` of all frames, OpenCV axes."""
  pose = np.tile(np.eye(4), (len(camera['positions']), 1, 1))
  quaternions = np.asarray(camera['quaternions'], np.float64)
  pose[:, :3, :3] = transforms.rotation_of(np.roll(quaternions, -1, axis=-1))
  pose[:, :3, 3] = camera['positions']
  return (pose @ transforms.OPENCV_FROM_OPENGL).astype(np.float32)


def _z_depth(
  example: Example, lens: Float[np.ndarray, '4']
) -> Float[np.ndarray, 't h w']:
  low, high = (float(x) for x in example['metadata']['depth_range'])
  stored = np.asarray(example['depth'])[..., 0].astype(np.float32)
  distance = low + stored / MOST * (high - low)
  uv = pinhole.pixel_centres(*stored.shape[1:])
  rays = np.asarray(pinhole.camera_directions(lens, uv))
  return (distance / np.linalg.norm(rays, axis=-1)).astype(np.float32)


def _moves(instances: Example) -> Bool[np.ndarray, 'o']:
  positions = np.asarray(instances['positions'])
  moved = np.linalg.norm(np.ptp(positions, axis=1), axis=-1) > STILL_M
  return moved | np.asarray(instances.get('is_dynamic', moved), bool)


def _padded(
  values: Float[np.ndarray, 'o t 3'],
) -> Float[np.ndarray, 't p 3']:
  """Frames first, and rows of zeros for the objects that are missing."""
  missing = OBJECTS - len(values)
  values = np.pad(values, ((0, missing), (0, 0), (0, 0)))
  return np.ascontiguousarray(values.swapaxes(0, 1), np.float32)
