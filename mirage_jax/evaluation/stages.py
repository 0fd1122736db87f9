"""The episodes that suites of `launch.evaluate` share, and their pictures."""

import dataclasses
import pathlib
from collections.abc import Mapping, Sequence

from mirage_jax import worlds
from mirage_jax.evaluation import closed_loop, rollout_cache
from mirage_jax.evaluation import episodes as scenes
from mirage_jax.evaluation.closed_loop import Contest, Result
from mirage_jax.evaluation.entrants import Entrant
from mirage_jax.evaluation.reports import tables, videos
from mirage_jax.evaluation.reports.tables import Suite
from mirage_jax.geometry.clips import Clip


@dataclasses.dataclass(frozen=True)
class Setting:
  """What the flags of `launch.evaluate` say; see there."""

  source: str
  episodes: int
  frames: int
  observed: int
  batch: int
  videos: int
  stride: int | None = None
  seed: int = 0
  rollouts: str | None = None
  split: str = 'all'


@dataclasses.dataclass(frozen=True, eq=False)
class Stage:
  """Episodes that several suites share.

  Attributes:
    path: of the camera, in worlds.
    folder_path: of the camera, in folders.
    window_only: whether no more is observed than the models' windows.
  """

  path: str
  folder_path: str
  window_only: bool = False


RETURN = Stage('out_and_back', 'out_and_back')
EXPLORE = Stage('explore', 'clip')
OWN = Stage('out_and_back', 'out_and_back', window_only=True)


def open_clips(
  setting: Setting, entrants: Mapping[str, Entrant], stage: Stage
) -> Sequence[Clip]:
  """The episodes of a stage, at the size of the models."""
  generated = setting.frames - setting.observed
  if generated < 1:
    raise ValueError(
      f'--frames={setting.frames} leaves nothing to generate after '
      f'{setting.observed} observed frames; raise --frames'
    )
  height, width = next(iter(entrants.values())).size
  world = setting.source in worlds.KINDS
  request = scenes.Request(
    setting.source,
    stage.path if world else stage.folder_path,
    setting.observed,
    generated,
    height,
    width,
    setting.seed,
    split=setting.split,
    clip=max(entrant.trained.clip_frames for entrant in entrants.values()),
  )
  clips = scenes.open_episodes(request, setting.episodes)
  if len(clips) < setting.episodes:
    print(f'{setting.source} has {len(clips)} episodes, not {setting.episodes}')
  return clips


def make_contest(
  setting: Setting,
  entrants: Mapping[str, Entrant],
  episodes: int,
  disturb: closed_loop.Disturbance | None = None,
) -> Contest:
  """The contest of these checkpoints."""
  players = {name: entrant.player for name, entrant in entrants.items()}
  if setting.rollouts is not None:
    players = {
      name: rollout_cache.kept(
        player, pathlib.Path(setting.rollouts) / name, entrants[name].identity
      )
      for name, player in players.items()
    }
  return Contest(
    players=players,
    windows=[entrant.window for entrant in entrants.values()],
    observed=setting.observed,
    episodes=episodes,
    batch=setting.batch,
    seed=setting.seed,
    examples=setting.videos,
    disturb=disturb,
  )


def file_name(player: str) -> str:
  """A player's name, which may be a path, as a part of a file's name."""
  return player.strip('/').replace('/', '_')


def draw(
  folder: pathlib.Path,
  name: str,
  result: Result,
  table: Suite,
  models: list[str],
) -> None:
  """Writes the plots and videos of a closed-loop suite.

  Each episode is a video of all models below each other; of the first there is
  one of every model, too.
  """
  for i, (title, curve) in enumerate(result.curves.items()):
    tables.plot_curve(folder / f'plots/{name}_curve{i}.png', title, curve)
  for metric in list(next(iter(result.values.values()), {}))[:2]:
    tables.plot_scores(folder / f'plots/{name}_{metric}.png', table, metric)
  for i, example in enumerate(result.examples):
    shown = [*models, 'oracle_memory']
    rows = videos.example_rows(example, shown, {})
    for model in models if i == 0 else ():
      path = folder / f'videos/{name}_{i}_{file_name(model)}.mp4'
      videos.write_video(path, rows[model])
    frames = videos.below(list(rows.values()))
    videos.write_video(folder / f'videos/{name}_{i}.mp4', frames)
    sheet = videos.contact_sheet(frames, 12, columns=2)
    videos.write_picture(folder / f'videos/{name}_{i}.png', sheet)
    sheet = videos.players_sheet(example, shown)
    videos.write_picture(folder / f'videos/{name}_{i}_players.png', sheet)
