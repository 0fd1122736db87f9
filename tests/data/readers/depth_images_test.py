"""Depth that is written comes back where it was, whatever the lens."""

import numpy as np
import pytest

from mirage_jax.data.readers import depth_images, folders
from tests.data.posed_folder import write_folder


@pytest.mark.parametrize('lens', [{}, {'k1': -0.2, 'p1': 0.01}])
@pytest.mark.parametrize('stride', [1, 2])
def test_depth_comes_back(tmp_path, lens, stride):
  write_folder(tmp_path, frames=2, depth=False, **lens)
  clip, indices = folders.read_folder(tmp_path, stride=stride)
  assert not clip.depth_m.any()
  rows, columns = np.indices(clip.depth_m.shape[1:])
  depth = np.stack([1 + rows + 0.01 * columns, 9 - 0.1 * rows]).astype('f4')
  depth_images.write_depth(tmp_path, depth, indices, stride)
  back = folders.read_folder(tmp_path, stride=stride).clip.depth_m
  # A lens makes the nearest pixel twice; a row is 1 apart in the first frame.
  error = np.abs(back - depth)
  assert (back > 0).all()
  assert np.median(error) < 2e-3 and (error[1] <= 0.1 * stride + 2e-3).all()
  assert (error < 2e-3).mean() > (0.7 if lens else 0.99)


def test_no_depth_stays_none(tmp_path):
  write_folder(tmp_path, frames=2, depth=False)
  clip, indices = folders.read_folder(tmp_path)
  depth_images.write_depth(tmp_path, clip.depth_m, indices, 1)
  assert not folders.read_folder(tmp_path).clip.depth_m.any()
