import imageio_ffmpeg
import numpy as np
import pytest
from PIL import Image

from mirage_jax.evaluation.closed_loop import Example
from mirage_jax.evaluation.reports import videos
from mirage_jax.evaluation.rollouts import Rollout
from mirage_jax.geometry.clips import Clip, take_frames
from mirage_jax.memory.contract import Readout


def some_frames(t=6, size=32):
  ramp = np.linspace(0, 255, size).astype(np.uint8)
  frames = np.broadcast_to(ramp[None, None, :, None], (t, size, size, 3)).copy()
  frames[..., 0] = (np.arange(t) * 30)[:, None, None]
  return frames


def example():
  rgb = some_frames()
  t, h, w = rgb.shape[:3]
  clip = Clip(
    rgb=rgb,
    depth_m=np.full((t, h, w), 2.0, np.float32),
    intrinsics=np.full((t, 4), 0.5, np.float32),
    world_from_camera=np.tile(np.eye(4, dtype=np.float32), (t, 1, 1)),
    time_s=np.arange(t, dtype=np.float32),
  )
  made = Rollout(take_frames(clip, slice(2, None)))
  return Example(clip, 2, np.zeros((4, h, w), bool), {'model': made})


def test_a_written_video_reads_back(tmp_path):
  path = tmp_path / 'deep' / 'a.mp4'
  frames = videos.enlarge(some_frames(), 64)
  videos.write_video(path, frames)
  width, height = imageio_ffmpeg.read_frames(str(path)).__next__()['size']
  assert (width, height) == (64, 64) and path.stat().st_size > 500
  assert [p.name for p in path.parent.iterdir()] == ['a.mp4']


def test_odd_sizes_are_cut_to_even_ones(tmp_path):
  videos.write_video(tmp_path / 'a.mp4', some_frames()[:, :31, :29])
  assert (tmp_path / 'a.mp4').exists()


def test_an_unwritable_place_is_an_error_and_keeps_what_was_there(tmp_path):
  (tmp_path / 'file').write_text('kept')
  with pytest.raises(OSError, match='file'):
    videos.write_video(tmp_path / 'file' / 'a.mp4', some_frames())
  assert (tmp_path / 'file').read_text() == 'kept'


def test_a_failing_encoder_is_one_clear_error(tmp_path, monkeypatch):
  def fail(*_, **__):
    raise RuntimeError('No space left on device')

  monkeypatch.setattr(videos.mediapy, 'write_video', fail)
  (tmp_path / 'a.mp4').write_bytes(b'old')
  with pytest.raises(OSError, match='No space left'):
    videos.write_video(tmp_path / 'a.mp4', some_frames())
  assert (tmp_path / 'a.mp4').read_bytes() == b'old'
  assert len(list(tmp_path.iterdir())) == 1


def test_rows_hold_four_labelled_panels_of_all_frames():
  rows = videos.example_rows(example(), ['model'], {'model': 'model 20 dB'})
  frames = rows['model']
  assert frames.shape == (6, 256 + videos.BAND, 4 * 256 + 3 * 4, 3)
  # The label of the target changes from observed to generated.
  band = frames[:, : videos.BAND, :256]
  assert (band[0] != band[5]).any()


def test_enlarging_keeps_pixels_square():
  frames = some_frames(size=30)
  large = videos.enlarge(frames, 100)
  assert large.shape == (6, 90, 90, 3)
  np.testing.assert_array_equal(large[:, ::3, ::3], frames)


def test_depth_is_painted_and_none_is_black():
  depth = np.zeros((1, 4, 4), np.float32)
  depth[0, 0] = 1.0
  painted = videos.paint_depth(depth, 4.0)
  assert painted[0, 0].any() and not painted[0, 1:].any()


def test_pictures_are_lossless(tmp_path):
  sheet = videos.contact_sheet(some_frames(), 3)
  assert sheet.shape == (96, 32, 3)
  videos.write_picture(tmp_path / 'a.png', sheet)
  with Image.open(tmp_path / 'a.png') as image:
    np.testing.assert_array_equal(np.asarray(image), sheet)


def test_a_sheet_of_players_has_a_row_for_each_and_begins_with_what_was_seen():
  sheet = videos.players_sheet(example(), ['model'], columns=3, size=32)
  band, gap = videos.BAND, 4
  assert sheet.shape == (2 * (32 + band), 3 * 32 + 2 * gap, 3)
  target, made = sheet[band : band + 32], sheet[32 + 2 * band :]
  np.testing.assert_array_equal(target, made)  # it plays the truth
  red = [int(target[0, i * (32 + gap), 0]) for i in range(3)]
  assert red == [30, 90, 150]  # frames 1 (the last observed), 3 and 5


def test_what_a_memory_does_not_claim_is_dark():
  truth = example().truth
  t, h, w = truth.depth_m.shape
  opacity = np.ones((t, h, w), np.float32)
  opacity[..., w // 2 :] = 0.2
  readout = Readout(
    features=np.ones((t, h, w, 3), np.float32),
    depth_m=np.asarray(truth.depth_m),
    opacity=opacity,
    confidence=opacity,
  )
  size = videos.PANEL // w * w
  panels = videos.readout_panels(readout, truth)[:, videos.BAND :]
  shown = [panels[:, :, i : i + size] for i in range(0, 4 * size, size + 4)]
  np.testing.assert_array_equal(shown[0], videos.enlarge(truth.rgb))
  assert (shown[1][:, :, : size // 2] == 255).all()
  assert all((x[:, :, size // 2 :] == 0).all() for x in shown[1:3])
  assert (shown[3][:, :, size // 2 :] == 51).all()
  alone = videos.readout_panels(readout)[:, videos.BAND :]
  np.testing.assert_array_equal(alone, panels[:, :, size + 4 :])
