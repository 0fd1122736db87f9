"""Stores a clip in a dataset, exactly but for depth: float16 metres.

float16 rounds by 0.05 % at most. All fields are compressed, which leaves
little of masks and object ids.
"""

from collections.abc import Mapping

import numpy as np
import tensorflow_datasets as tfds

from mirage_jax.geometry.clips import Clip

# Of each field, as it is stored; those of a clip differ in depth only.
DTYPES = {
  'rgb': np.uint8,
  'depth_m': np.float16,
  'intrinsics': np.float32,
  'world_from_camera': np.float32,
  'time_s': np.float32,
  'dynamic': np.bool_,
  'sky': np.bool_,
  'object_id': np.int32,
  'object_box': np.float32,
  'object_position': np.float32,
  'object_velocity': np.float32,
}


def clip_features(
  frames: int, height: int, width: int, objects: int
) -> tfds.features.FeaturesDict:
  """Declares the features of clips in which every field is known."""
  frame, things = (frames, height, width), (frames, objects, 3)
  shapes = {
    'rgb': (*frame, 3),
    'intrinsics': (frames, 4),
    'world_from_camera': (frames, 4, 4),
    'time_s': (frames,),
    'object_box': things,
    'object_position': things,
    'object_velocity': things,
  }
  return tfds.features.FeaturesDict(
    {
      name: tfds.features.Tensor(
        shape=shapes.get(name, frame), dtype=dtype, encoding='zlib'
      )
      for name, dtype in DTYPES.items()
    }
  )


def to_example(clip: Clip) -> dict[str, np.ndarray]:
  """Converts a clip, every field known, to the arrays that are stored."""
  return {
    name: np.asarray(getattr(clip, name)).astype(dtype)
    for name, dtype in DTYPES.items()
  }


def from_example(example: Mapping[str, np.ndarray]) -> Clip:
  """Converts stored arrays to a clip; depth becomes float32 again."""
  depth_m = np.asarray(example['depth_m']).astype(np.float32)
  return Clip(**{**example, 'depth_m': depth_m})
