"""What the figures of suites mean, and which of them come first."""

from collections.abc import Mapping, Sequence

from mirage_jax.evaluation.reports import tables
from mirage_jax.evaluation.suites import (
  calibration,
  cost,
  memory_gain,
  object_consistency,
  object_position,
  protocols,
)

# What the figures of a suite mean, for its report.
NOTES: Mapping[str, str] = {
  'closed_loop': (
    'Returned pixels: static, seen in an observed frame (depth reprojection '
    'with an occlusion test), in no frame of the window. PSNR is of the mean '
    'squared error over all returned pixels of an episode. `returned_lpips` '
    'and `returned_ssim`: whole frames of which at least '
    f'{protocols.RETURNED_SHARE:.0%} of the static pixels are returned. '
    '`returned_region_lpips`: frames with at least '
    f'{protocols.REGION_SHARE:.0%}, all other pixels replaced by the truth. '
    '`readout_...`: what the memory alone shows of returned pixels. '
    '`returned_region_kid` and `_frechet`: distances between the VGG16 '
    'features of every fourth such frame and of the true ones. '
    'Means over episodes, 95 % bootstrap intervals over episodes.'
  ),
  'memory_gain': (
    'Likeness is minus LPIPS. `memory_gain`: a generated view that returns '
    'against the observed frame there, less the same for a generated view '
    'from elsewhere, made within '
    f'{memory_gain.GAP_SLACK} frames of it. `nmr`: that over the same '
    'difference for neighbouring frames. A frozen video has 0.'
  ),
  'object_consistency': (
    'Crops of static objects that have returned, of at least '
    f'{object_consistency.MIN_SHARE:.1%} of the picture. `object_frechet` (64 '
    "principal components) and `object_kid`: of VGG16's features of all crops; "
    '`object_lpips`: each crop against its own true one.'
  ),
  'object_position': (
    'Objects that were observed, left the window and came back, looked for by '
    f'their own appearance. `right`: there, and within '
    f'{object_position.NEAR_M} m; `missing` is wrong; `ghost`: drawn beyond '
    'that, by itself or beside the right one; `px` and `m`: the error of those '
    'that are there. `mover`: what moves by itself.'
  ),
  'calibration': (
    'Of the pixels that a memory claims before anything is generated. '
    f'`right`: colour within {calibration.COLOUR_WITHIN} and depth within '
    f'{calibration.DEPTH_WITHIN:.0%}; `ece`: expected calibration error; '
    '`aurc`: mean risk over all coverages.'
  ),
  'exploration': (
    'All generated frames against the truth; `fresh`: pixels that no earlier '
    'frame saw. `kid`, `frechet`: distances of VGG16 features; `clip_...`: of '
    'features averaged over time. No worse: '
    f'the paired interval of psnr_db lies above {-tables.MARGIN_DB} dB.'
  ),
  'own_return': (
    'Later views of generated places against the own first view of them. '
    '`own_contrast_db`: gain over the same comparison with a frame from '
    'elsewhere; a frozen video gains nothing.'
  ),
  'cost': (
    'After so many chunks of 4 frames: milliseconds to write a chunk, to read '
    'a view, and to `generate` a chunk (with its read), medians of calls in '
    'turns. `..._from_chunk`: from which one on it is dearer than '
    f'{cost.OURS}, or else the first checkpoint; a dash is never.'
  ),
  'robustness': (
    'The closed loop, with only the observed frames spoiled: `depth_noise`, '
    'standard deviation of the relative error of each pixel; `depth_missing`, '
    'share of 4 x 4 blocks without depth; `pose_m` and `pose_deg`, root-mean-'
    'square errors of the position and rotation of a frame. Without a suffix: '
    'as they are.'
  ),
  'changed': (
    'Share of the changed pixels that are still shown as they were, after so '
    'many new looks at the place: where an object vanished, and (`moved_`) '
    'where it was moved by a metre.'
  ),
}
# The figures of a suite that its players are compared by first.
MAIN: Mapping[str, Sequence[str]] = {
  'closed_loop': ('returned_psnr_db', 'returned_lpips'),
  'memory_gain': ('memory_gain', 'nmr'),
  'object_consistency': ('object_frechet', 'object_lpips'),
  'object_position': ('object_right', 'mover_right'),
  'exploration': ('psnr_db', 'kid'),
  'own_return': ('own_contrast_db',),
  'calibration': ('ece', 'aurc'),
  'robustness': (
    'returned_psnr_db@depth_noise=0.05',
    'returned_psnr_db@pose_m=0.03',
  ),
  'readout': ('psnr_all_db', 'coverage'),
  'retention': ('slope_db_per_write',),
  'changed': ('stale@seen=4', 'moved_stale@seen=4'),
  'cost': ('bytes', 'generate_ms@chunk=100'),
}
