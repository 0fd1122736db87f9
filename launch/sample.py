"""Generates videos that leave and return, and scores what came back.

  python -m launch.sample --checkpoint=mirage-s,rooms_tiny_window \
    --source=rooms --camera_path=out_and_back --output=runs/sample

Several checkpoints are compared on the same scenes. Writes into --output:
`sample.mp4` (a row a checkpoint: target | generated | memory readout | depth),
`sample.png` (a contact sheet of it), and the memory at the end of the first
scene, `memory.safetensors` (`memory_NAME.safetensors` if several have one).
"""

import pathlib
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
from absl import flags, logging

from launch.program import run_program
from mirage_jax.evaluation import closed_loop, episodes
from mirage_jax.evaluation.baselines.rollouts import BASELINES
from mirage_jax.evaluation.closed_loop import (
  ClosedLoopSetup,
  Example,
  Result,
  load_clips,
)
from mirage_jax.evaluation.entrants import Entrant, flag_list, open_entrants
from mirage_jax.evaluation.metrics import statistics
from mirage_jax.evaluation.reports import videos
from mirage_jax.evaluation.suites.closed_loop import ClosedLoop
from mirage_jax.io import staged
from mirage_jax.memory.storage import save

_CHECKPOINT = flags.DEFINE_string(
  'checkpoint',
  None,
  'A workdir of launch.train, a released folder or a shipped name; several '
  'with commas are compared.',
)
_SOURCE = flags.DEFINE_string(
  'source',
  'rooms',
  "'rooms', 'streets', 'doom', a folder with a transforms.json, or an .npz "
  'of episodes.',
)
_PATH = flags.DEFINE_string(
  'camera_path',
  'out_and_back',
  "'clip' (its own), 'out_and_back', 'pan', 'orbit', in worlds also 'loop', "
  "'random_walk', 'explore'; or a transforms.json.",
)
flags.DEFINE_alias('path', 'camera_path')
_OBSERVED = flags.DEFINE_integer('observed', 16, 'Frames given.')
_CHUNKS = flags.DEFINE_integer('chunks', 8, 'Chunks of frames to generate.')
_SCENES = flags.DEFINE_integer(
  'scenes', 4, 'Scenes of a world to score; the first becomes the video.'
)
_START = flags.DEFINE_integer('start', 0, 'First frame of a folder.')
_EVERY = flags.DEFINE_integer('every', 1, 'Use every n-th frame of a folder.')
_STEPS = flags.DEFINE_integer(
  'steps', None, 'Sampler steps a chunk; those of the config if not given.'
)
_WRITE = flags.DEFINE_bool(
  'write_generated', True, 'Whether generated frames enter the memory.'
)
_MEMORY = flags.DEFINE_string(
  'memory',
  None,
  'A memory file of an earlier sample of the same scene, to go on from.',
)
_SEED = flags.DEFINE_integer('seed', 0, 'Of the scenes and of the noise.')
_OUTPUT = flags.DEFINE_string('output', None, 'Folder for what is written.')

SHOWN = {
  'returned_psnr_db': 'PSNR of returned pixels, dB',
  'returned_region_lpips': 'LPIPS of returned pixels',
  'psnr_db': 'PSNR of all, dB',
}


def main(_) -> dict[str, Any]:
  """Samples what the flags say and returns the scores."""
  logging.set_verbosity(logging.ERROR)
  if _OUTPUT.value is None:
    raise ValueError('--output is missing; give a folder for the video')
  for flag in (_OBSERVED, _CHUNKS, _SCENES, _EVERY):
    if flag.value < 1:
      raise ValueError(f'--{flag.name}={flag.value}; expected 1 or more')
  entrants = open_entrants(
    flag_list(_CHECKPOINT.value), _STEPS.value, _WRITE.value, _MEMORY.value
  )
  request = make_request(entrants)
  episodes.check_path(request)
  rendered = request.traits.renders_any_path
  if _MEMORY.value and rendered and _SCENES.value > 1:
    raise ValueError(
      f'--memory={_MEMORY.value} is of one scene and --scenes={_SCENES.value}; '
      'give --scenes=1'
    )
  with staged(_OUTPUT.value) as folder:
    made, known = open_scenes(request)
    setup = make_setup(entrants, len(made))
    scored = known and any(np.any(clip.depth_m > 0) for clip in made)
    result = score(made, setup) if scored else None
    example = result.examples[0] if result else play(made, setup)
    scores = summarise(result, entrants)
    write(folder, example, entrants, scores)
  print_scores(scores, known)
  video = pathlib.Path(_OUTPUT.value) / 'sample.mp4'
  print(f'video: {video}')
  return {'video': str(video), 'scenes': len(made), 'scores': scores}


def make_request(entrants: Mapping[str, Entrant]) -> episodes.Request:
  """Makes the request of the flags, at the size of the models."""
  first = next(iter(entrants.values()))
  height, width = first.size
  generated = _CHUNKS.value * max(
    x.trained.chunk_frames for x in entrants.values()
  )
  return episodes.Request(
    _SOURCE.value,
    _PATH.value,
    _OBSERVED.value,
    generated,
    height,
    width,
    _SEED.value,
    _START.value,
    _EVERY.value,
  )


def open_scenes(request: episodes.Request) -> tuple[list, bool]:
  """The clips to play, and whether their truth is known."""
  if request.traits.has_episodes:
    clips = episodes.open_episodes(request, _SCENES.value)
    return list(clips), True
  count = _SCENES.value if request.traits.renders_any_path else 1
  print(f'making {count} scene(s) of {request.source}', flush=True)
  made = [episodes.make_scene(request, i) for i in range(count)]
  return [scene.clip for scene in made], all(scene.known for scene in made)


def make_setup(entrants: Mapping[str, Entrant], count: int) -> ClosedLoopSetup:
  """All checkpoints on all scenes in one batch."""
  return ClosedLoopSetup(
    players={name: x.player for name, x in entrants.items()},
    windows=[x.window for x in entrants.values()],
    observed=_OBSERVED.value,
    episodes=count,
    batch=count,
    seed=_SEED.value,
    examples=1,
  )


def play(made: list, setup: ClosedLoopSetup) -> Example:
  """The rollouts of the first scene, without scores."""
  clips = load_clips(made, [0])
  key = jax.random.key(setup.seed)
  rollouts = {
    name: jax.tree.map(
      lambda x: np.asarray(x[0]), player(clips, setup.observed, key)
    )
    for name, player in setup.players.items()
  }
  truth = jax.tree.map(lambda x: x[0], clips)
  mask = np.zeros(truth.depth_m[setup.observed :].shape, bool)
  return Example(truth, setup.observed, mask, rollouts)


def score(made: list, setup: ClosedLoopSetup) -> Result:
  """Plays the closed loop, with the baselines beside the checkpoints."""
  scores = {'closed_loop': ClosedLoop()}
  played = closed_loop.play(made, setup, scores, BASELINES)
  return played['closed_loop']


def summarise(
  result: Result | None, entrants: Mapping[str, Entrant]
) -> dict[str, dict[str, float | None]]:
  """The mean of each shown score, of the checkpoints and then the baselines."""
  if result is None:
    return {name: dict.fromkeys(SHOWN) for name in entrants}
  return {
    name: {m: statistics.interval(values[m])['mean'] for m in SHOWN}
    for name, values in result.values.items()
  }


def write(
  folder: pathlib.Path,
  example: Example,
  entrants: Mapping[str, Entrant],
  scores: Mapping[str, Mapping[str, float | None]],
) -> None:
  """Writes the video, its contact sheet and the memories."""
  remembering = [n for n, x in entrants.items() if x.model.memory is not None]
  for name in remembering:
    single = len(remembering) == 1
    file = f'memory{"" if single else "_" + name.replace("/", "_")}.safetensors'
    memory: Any = entrants[name].model.memory
    save(folder / file, memory, example.rollouts[name].states)
  titles = {}
  for name in entrants:
    value = scores[name]['returned_psnr_db']
    titles[name] = name if value is None else f'{name}  {value:.1f} dB'
  rows = videos.example_rows(example, list(entrants), titles)
  frames = videos.below(list(rows.values()))
  videos.write_video(folder / 'sample.mp4', frames)
  sheet = videos.contact_sheet(frames, 12, columns=2)
  videos.write_picture(folder / 'sample.png', sheet)


def print_scores(
  scores: Mapping[str, Mapping[str, float | None]], known: bool
) -> None:
  """Prints a table: checkpoints and baselines down, scores across."""
  if not known:
    print('no true frames along this path, hence no revisit score')
    return
  width = max(map(len, scores))
  print(' ' * width, *SHOWN.values(), sep='  ')
  for name, values in scores.items():
    cells = [
      ('-' if values[m] is None else f'{values[m]:.3f}').rjust(len(title))
      for m, title in SHOWN.items()
    ]
    print(name.ljust(width), *cells, sep='  ')


if __name__ == '__main__':
  run_program(main)
