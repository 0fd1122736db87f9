"""A fake of Kubric's MOVi-E, written with its features and read as clips.

Its pictures are plain arrays: TFDS decodes videos with TensorFlow only, and
images of 16 bits with OpenCV.
"""

import numpy as np
import pytest
import tensorflow_datasets as tfds

from mirage_jax.data.readers import movi
from mirage_jax.data.sources.catalog import open_source
from mirage_jax.geometry import cameras as pinhole
from mirage_jax.geometry.clips import take_frames

FRAMES, HEIGHT, WIDTH = 4, 24, 32
FOCAL, SENSOR = 35.0, 32.0
FAR = 9.0


def quaternion(pose):
  """`w, x, y, z` of a rotation of less than half a turn."""
  w = np.sqrt(1 + np.trace(pose)) / 2
  x, y, z = (pose[i, j] - pose[j, i] for i, j in ((2, 1), (0, 2), (1, 0)))
  return np.array([w, x / (4 * w), y / (4 * w), z / (4 * w)], np.float32)


def scene():
  """Cameras over a floor z = 0, a ball of radius 0.5 that rolls on it.

  Made with Blender's conventions alone: rays along -z, distances.
  """
  video, depth, segments, places, turns, balls = [], [], [], [], [], []
  for t in range(FRAMES):
    angle = 0.5 + 0.05 * t  # about x: from looking down to looking up
    c, s = np.cos(angle), np.sin(angle)
    turn = np.array([[1, 0, 0], [0, c, -s], [0, s, c]])
    origin = np.array([0.1 * t, -2.0, 4.0])
    v, u = np.mgrid[:HEIGHT, :WIDTH] + 0.5
    local = np.stack(
      [
        (u / WIDTH - 0.5) * SENSOR / FOCAL,
        (0.5 - v / HEIGHT) * SENSOR / FOCAL * HEIGHT / WIDTH,
        np.full(u.shape, -1.0),
      ],
      -1,
    )
    unit = local / np.linalg.norm(local, axis=-1, keepdims=True) @ turn.T
    floor = np.where(unit[..., 2] < 0, -origin[2] / unit[..., 2], FAR)
    ball = np.array([0.3 * t - 0.3, 0.0, 0.5])
    b, c = unit @ (origin - ball), ((origin - ball) ** 2).sum() - 0.25
    root = b * b - c
    hit = np.where(root > 0, -b - np.sqrt(np.maximum(root, 0)), np.inf)
    distance = np.minimum(np.minimum(floor, hit), FAR)
    point = origin + distance[..., None] * unit
    video.append(np.uint8(127 + 100 * np.sin(2 * point)))
    depth.append(distance)
    segments.append(np.uint8(2 * (hit < floor)))  # the second instance
    places.append(origin), turns.append(quaternion(turn)), balls.append(ball)
  return video, depth, segments, places, turns, np.array(balls, np.float32)


def example():
  video, depth, segments, places, turns, balls = scene()
  low, high = 1.0, 10.0
  stored = np.round((np.array(depth) - low) / (high - low) * 65535)
  corners = np.array([[i >> 2 & 1, i >> 1 & 1, i & 1] for i in range(8)]) - 0.5
  sizes = np.array([[0.2, 0.4, 0.6], [1.0, 1.0, 1.0]], np.float32)
  centres = np.stack([np.tile([[3.0, 3, 0.3]], (FRAMES, 1)), balls])
  instances = [
    {
      'positions': np.float32(at),
      'velocities': np.float32(np.gradient(at, axis=0) * movi.FPS),
      'bboxes_3d': np.float32(at[:, None] + corners * size),
      'is_dynamic': False,
      'mass': 1.0,
    }
    for at, size in zip(centres, sizes, strict=True)
  ]
  return {
    'metadata': {'video_name': '0', 'depth_range': np.float32([low, high])},
    'instances': instances,
    'camera': {
      'focal_length': FOCAL,
      'sensor_width': SENSOR,
      'field_of_view': 2 * np.arctan(SENSOR / FOCAL / 2),
      'positions': np.float32(places),
      'quaternions': np.float32(turns),
    },
    'video': np.stack(video),
    'segmentations': np.stack(segments)[..., None],
    'depth': stored[..., None].astype(np.uint16),
    'normal': np.zeros((FRAMES, HEIGHT, WIDTH, 3), np.uint16),
  }


def features():
  tensor = lambda *shape: tfds.features.Tensor(shape=shape, dtype=np.float32)
  image = lambda dtype, channels=1: tfds.features.Tensor(
    shape=(FRAMES, HEIGHT, WIDTH, channels), dtype=dtype
  )
  return tfds.features.FeaturesDict(
    {
      'metadata': {
        'video_name': tfds.features.Text(),
        'depth_range': tensor(2),
      },
      'instances': tfds.features.Sequence(
        feature={
          'positions': tensor(FRAMES, 3),
          'velocities': tensor(FRAMES, 3),
          'bboxes_3d': tensor(FRAMES, 8, 3),
          'is_dynamic': np.bool_,
          'mass': np.float32,
        }
      ),
      'camera': {
        'focal_length': np.float32,
        'sensor_width': np.float32,
        'field_of_view': np.float32,
        'positions': tensor(FRAMES, 3),
        'quaternions': tensor(FRAMES, 4),
      },
      'video': image(np.uint8, 3),
      'segmentations': image(np.uint8),
      'depth': image(np.uint16),
      'normal': image(np.uint16, 3),
    }
  )


class MoviE(tfds.core.GeneratorBasedBuilder, skip_registration=True):
  VERSION = tfds.core.Version('1.0.0')

  def _info(self):
    return tfds.core.DatasetInfo(builder=self, features=features())

  def _split_generators(self, dl_manager):
    return {'train': self._generate_examples()}

  def _generate_examples(self):
    yield 0, example()


def write(folder, file_format='array_record'):
  builder = MoviE(data_dir=str(folder), file_format=file_format)
  tfds.disable_progress_bar()
  builder.download_and_prepare(download_dir=str(folder / 'unused'))
  return folder / 'movi_e'


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
  return write(tmp_path_factory.mktemp('movi'))


@pytest.fixture(scope='module')
def clip(folder):
  return open_source(str(folder))[0]


def test_shapes_and_colours(clip):
  video, _, segments, *_ = scene()
  np.testing.assert_array_equal(clip.rgb, video)
  np.testing.assert_array_equal(clip.object_id, segments)
  assert clip.object_box.shape == (FRAMES, movi.OBJECTS, 3)
  np.testing.assert_allclose(clip.time_s, np.arange(FRAMES) / 12, rtol=1e-6)


def test_points_lie_on_the_floor_and_the_ball(clip):
  points = np.asarray(pinhole.unproject(clip.cameras, clip.depth_m))
  _, depth, segments, _, _, balls = scene()
  ball = np.array(segments) > 0
  floor = ~ball & (np.array(depth) < FAR)
  assert floor.mean() > 0.3 and ball.any((1, 2)).all()
  np.testing.assert_allclose(points[floor][:, 2], 0, atol=2e-3)
  radius = np.linalg.norm(points - balls[:, None, None], axis=-1)
  np.testing.assert_allclose(radius[ball], 0.5, atol=2e-3)


def test_objects_are_seen_where_they_are(clip):
  for t in range(FRAMES):
    frame = take_frames(clip, t)
    uv, z = pinhole.project(frame.cameras, frame.object_position[1:2])
    assert z[0] > 0
    row, column = np.nonzero(frame.object_id == 2)
    middle = np.array([column.mean() + 0.5, row.mean() + 0.5])
    assert np.abs(np.asarray(uv)[0] * [WIDTH, HEIGHT] - middle).max() < 1
  np.testing.assert_allclose(clip.object_box[:, 0], [[0.2, 0.4, 0.6]] * FRAMES,
                             rtol=1e-5)  # fmt: skip
  np.testing.assert_allclose(clip.object_velocity[:, 1, 0], 3.6, rtol=1e-4)
  assert not clip.object_box[:, 2:].any()


def test_what_moves_is_dynamic(clip):
  np.testing.assert_array_equal(clip.dynamic, clip.object_id == 2)


def test_too_many_objects_are_refused(monkeypatch):
  monkeypatch.setattr(movi, 'OBJECTS', 1)
  one = example()
  stacked = {
    key: np.stack([x[key] for x in one['instances']])
    for key in one['instances'][0]
  }
  with pytest.raises(ValueError, match='a clip of 2 objects; expected 1 or'):
    movi.to_clip(one | {'instances': stacked})


def test_records_that_cannot_be_read_at_random_are_told(folder, monkeypatch):
  def refuse(*_, **__):
    raise NotImplementedError

  builder = tfds.core.read_only_builder.ReadOnlyBuilder
  monkeypatch.setattr(builder, 'as_data_source', refuse)
  with pytest.raises(ValueError, match='tfds convert_format'):
    open_source(str(folder))


def test_missing_tensorflow_is_told(folder, monkeypatch):
  def refuse(*_):
    raise ModuleNotFoundError("No module named 'tensorflow'")

  monkeypatch.setattr(tfds, 'builder_from_directory', refuse)
  with pytest.raises(ValueError, match='pip install tensorflow'):
    open_source(str(folder))
