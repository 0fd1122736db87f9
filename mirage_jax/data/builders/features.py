"""How a clip lies in a dataset: compact, and exact but for depth.

All fields keep their type except depth, which is float16 metres (a relative
error of 0.05 %). Images are compressed, which masks and ids shrink to nothing.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow_datasets as tfds

from mirage_jax.geometry.clips import Clip

DEPTH = np.float16


def clip_features(shapes: Clip) -> tfds.features.FeaturesDict:
  """Features of clips of these shapes (as `jax.eval_shape` gives them)."""
  return tfds.features.FeaturesDict(
    {
      name: tfds.features.Tensor(
        shape=leaf.shape, dtype=_stored_dtype(name, leaf), encoding='zlib'
      )
      for name, leaf in _known_fields(shapes).items()
    }
  )


def to_example(clip: Clip) -> dict[str, np.ndarray]:
  """A clip as it is stored."""
  return {
    name: np.asarray(leaf).astype(_stored_dtype(name, leaf))
    for name, leaf in _known_fields(clip).items()
  }


def from_example(example: Mapping[str, np.ndarray]) -> Clip:
  """A stored clip; fields that were unknown are None."""
  depth_m = np.asarray(example['depth_m']).astype(np.float32)
  return Clip(**{**example, 'depth_m': depth_m})


def _known_fields(clip: Clip) -> dict[str, Any]:
  fields = {f.name: getattr(clip, f.name) for f in dataclasses.fields(clip)}
  return {name: leaf for name, leaf in fields.items() if leaf is not None}


def _stored_dtype(name: str, leaf) -> np.dtype:
  return np.dtype(DEPTH if name == 'depth_m' else leaf.dtype)
