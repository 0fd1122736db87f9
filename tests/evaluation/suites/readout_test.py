import numpy as np
import pytest

from mirage_jax.evaluation.baselines import readouts
from mirage_jax.evaluation.suites import readout, readout_views
from mirage_jax.progress import Progress
from tests.evaluation.baselines.readouts_test import make_clip

METRICS = {
  *('psnr_db', 'psnr_common_db', 'psnr_shared_db', 'psnr_all_db'),
  *('coverage', 'depth_median_rel', 'bytes'),
}


def read(clip, methods=readout.BASELINES):
  index = np.arange(len(clip.rgb))
  return readout.read_clip(clip, index, methods, Progress('test', 9))


def same_clip(frames=13):
  """A clip in which every frame is the first one again."""
  clip = make_clip(frames=1, holes=0.3)
  return type(clip)(
    **{
      k: None if v is None else np.repeat(v, frames, axis=0)
      for k, v in vars(clip).items()
    }
  )


def test_every_eighth_entry_of_the_source_is_held_out():
  clip = make_clip(frames=5)
  index = np.array([3, 4, 5, 12, 20])
  written, target = readout.hold_out(clip, index)
  np.testing.assert_array_equal(target.time_s, [1, 3, 4])
  np.testing.assert_array_equal(written.time_s, [0, 2])


def test_too_few_frames_and_no_depth_are_refused():
  clip = make_clip(frames=5)
  with pytest.raises(ValueError, match='at least 5 frames'):
    readout.hold_out(clip, np.arange(4))
  flat = clip.replace(depth_m=np.zeros_like(clip.depth_m))
  with pytest.raises(ValueError, match='needs depth'):
    readout.hold_out(flat, np.arange(5))


def test_a_still_camera_is_read_without_error():
  views = read(same_clip())
  table = readout_views.score([views])
  for name in readout.BASELINES:
    assert table[name].keys() >= METRICS
    assert table[name]['psnr_db']['mean'] > 40
    known = (views.target.depth_m > 0).mean()
    np.testing.assert_allclose(table[name]['coverage']['mean'], known)
    assert table[name]['depth_median_rel']['mean'] < 1e-5
    assert table[name]['psnr_db']['n'] == 2


def test_a_method_gains_nothing_over_itself():
  methods = {
    readout.CLOUD: readouts.point_cloud,
    'again': readouts.point_cloud,
  }
  clip = make_clip(frames=13)
  table = readout_views.score([read(clip, methods)] * 2)
  for metric, value in table['again'].items():
    if metric.endswith('gain_db'):
      assert value['mean'] == value['low'] == value['high'] == 0


def test_movers_are_not_judged():
  clip = same_clip()
  dynamic = np.zeros(clip.depth_m.shape, bool)
  dynamic[4:, :, :4] = True
  rgb = np.where(dynamic[..., None], 255 - clip.rgb, clip.rgb)
  views = read(clip.replace(rgb=rgb, dynamic=dynamic))
  assert readout_views.score([views])[readout.CLOUD]['psnr_db']['mean'] > 40


def test_panels_show_all_methods_side_by_side():
  views = read(same_clip())
  rows = readout_views.panels(views)
  gaps = readout_views.GAP * (len(views.readouts) + 1)
  assert rows.shape == (2, 6, 8 * 4 + gaps, 3)
  np.testing.assert_array_equal(rows[:, :, :8], views.target.rgb)
  assert readout_views.contact_sheet(rows, most=1).shape[0] == 12
