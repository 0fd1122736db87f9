"""Converts a recording to a folder that every program reads, and checks it.

  python -m launch.ingest --input=FOLDER --output=DIR

Takes a folder in the nerfstudio layout, a TUM RGB-D folder, a RealEstate10K
camera file with a folder of its frames (`--images`), or a video, whose poses
are found by COLMAP (`pip install -e '.[sfm]'`). Writes into --output the
images, depth and `transforms.json` (nerfstudio layout), `report.md` and
`report.json` with the figures and warnings, and `report.png`: frames warped
into others by their depth and poses. It shows a wrong convention before any
training.

If no frame has depth, it is fitted: a radiance field is optimised on the
photos, and `fit.png` shows its views of those that were held out. Its lengths
are in units of the poses, and are taken for metres.
"""

import json
import pathlib
import tempfile
from typing import Any

from absl import flags, logging

from launch.program import run_program
from mirage_jax.capture import colmap, depth, inspection
from mirage_jax.data.readers import depth_images, recordings
from mirage_jax.data.readers.folders import read_folder
from mirage_jax.evaluation.reports import videos
from mirage_jax.io import staged

_INPUT = flags.DEFINE_string('input', None, 'The recording; see above.')
_IMAGES = flags.DEFINE_string(
  'images', None, 'Frames of a RealEstate10K file, named by their times.'
)
_INTRINSICS = flags.DEFINE_list(
  'intrinsics',
  None,
  'fx,fy,cx,cy in pixels of a TUM RGB-D folder whose name does not tell its '
  'camera.',
)
_EVERY = flags.DEFINE_integer('every', 1, 'Take every n-th frame.')
_OUTPUT = flags.DEFINE_string('output', None, 'Folder for what is written.')
_FIT_STEPS = flags.DEFINE_integer(
  'fit_steps',
  800,
  'Steps of the fit of depth where there is none; 0 leaves it out.',
)
_SEED = flags.DEFINE_integer('seed', 0, 'Of the rays that the fit draws.')

ACROSS = 160  # pixels of the frames that are looked at, and fitted
FITTED = (
  'depth was fitted to the photos: lengths are in units of the poses, and are '
  'taken for metres'
)
UNSURE = (
  'depth was fitted to the photos, but is sure nowhere: give more --fit_steps, '
  'or photos that overlap more'
)


def main(_) -> dict[str, Any]:
  """Converts the recording and returns the report's figures."""
  logging.set_verbosity(logging.ERROR)
  if _INPUT.value is None or _OUTPUT.value is None:
    missing = 'input' if _INPUT.value is None else 'output'
    raise ValueError(f'--{missing} is missing; see --help')
  if _EVERY.value < 1:
    raise ValueError(f'--every={_EVERY.value}; expected 1 or more')
  if _FIT_STEPS.value < 0:
    raise ValueError(f'--fit_steps={_FIT_STEPS.value}; expected 0 or more')
  source, output = pathlib.Path(_INPUT.value), pathlib.Path(_OUTPUT.value)
  if source.resolve() in (output.resolve(), *output.resolve().parents):
    raise ValueError(f'--output={output} is in --input; give another folder')
  with staged(output) as stage:
    count = copy(source, stage)
    print(f'{count} frames copied; looking at them', flush=True)
    fitted = fit(stage)
    clip = read_folder(stage, stride=stride_of(stage)).clip
    found = inspection.inspect(clip)
    if fitted:
      found.figures.update(fitted)
      found.warnings.append(FITTED if clip.depth_m.any() else UNSURE)
    lines = inspection.figures_table(found)
    text = '\n'.join([f'# {source.name}', '', *lines])
    (stage / 'report.md').write_text(text + '\n', encoding='utf-8')
    report = {'figures': found.figures, 'warnings': found.warnings}
    report['revisits'] = found.revisits.tolist()
    (stage / 'report.json').write_text(json.dumps(report, indent=2) + '\n')
    if len(found.pairs):
      picture = inspection.picture(clip, found)
      videos.write_picture(stage / 'report.png', picture)
  print('\n'.join(lines))
  return {
    'folder': str(output),
    'warnings': len(found.warnings),
  } | found.figures


def copy(source: pathlib.Path, folder: pathlib.Path) -> int:
  """Copies a recording of any known layout; returns its number of frames."""
  if source.is_file() and source.suffix == '.txt':
    if _IMAGES.value is None:
      raise ValueError(f'--images is missing: the folder of frames of {source}')
    shots = recordings.read_realestate(source, _IMAGES.value)
    return recordings.write_folder(shots[:: _EVERY.value], folder)
  if (source / 'groundtruth.txt').exists():
    shots = recordings.read_tum(source, intrinsics())
    return recordings.write_folder(shots[:: _EVERY.value], folder)
  if source.is_file() and source.suffix.lower() in colmap.SUFFIXES:
    return copy_video(source, folder)
  if source.is_file() or (source / recordings.TRANSFORMS).exists():
    return recordings.copy_folder(source, folder, _EVERY.value)
  raise ValueError(
    f'{source} is no recording; expected a folder with a transforms.json '
    '(nerfstudio), one with groundtruth.txt, rgb.txt and depth.txt (TUM '
    'RGB-D), a camera file of RealEstate10K, or a video'
  )


def copy_video(video: pathlib.Path, folder: pathlib.Path) -> int:
  """Copies those frames of a video for which COLMAP finds a pose."""
  colmap.load_colmap()  # a missing package is reported at once
  with tempfile.TemporaryDirectory() as images:
    count = colmap.extract_frames(video, pathlib.Path(images), _EVERY.value)
    shots = colmap.recover_shots(pathlib.Path(images), _SEED.value)
    if len(shots) < count:
      print(f'{count - len(shots)} of {count} frames found no pose')
    return recordings.write_folder(shots, folder)


def intrinsics() -> tuple[float, ...] | None:
  """Parses --intrinsics."""
  if _INTRINSICS.value is None:
    return None
  try:
    fx, fy, cx, cy = (float(word) for word in _INTRINSICS.value)
  except ValueError:
    raise ValueError(
      f'--intrinsics={",".join(_INTRINSICS.value)}; expected fx,fy,cx,cy in '
      'pixels'
    ) from None
  return fx, fy, cx, cy


def fit(folder: pathlib.Path) -> dict[str, int | float]:
  """Fits depth to a folder that has none; returns figures of the fit."""
  stride = stride_of(folder)
  clip, indices = read_folder(folder, stride=stride)
  if clip.depth_m.any() or not _FIT_STEPS.value:
    return {}
  fitted = depth.fit_depth(clip, _FIT_STEPS.value, _SEED.value)
  depth_images.write_depth(folder, fitted.depth, indices, stride)
  videos.write_picture(folder / 'fit.png', fitted.picture)
  return fitted.figures


def stride_of(folder: pathlib.Path) -> int:
  """Returns the stride that leaves about `ACROSS` pixels of an image's row."""
  about = json.loads((folder / recordings.TRANSFORMS).read_text())
  first = about | about['frames'][0]
  return max(1, round(float(first.get('w', ACROSS)) / ACROSS))


if __name__ == '__main__':
  run_program(main)
