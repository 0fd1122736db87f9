"""Changed while away: how soon a memory believes what it sees anew.

A walk through a room is written; while nobody looks, an object vanishes, or is
moved by a metre. Then frames of the changed room are written, one by one, and
the views that show the place are read. A *stale* pixel is one that has changed
and that the memory still shows as it was: nearer in colour to the old view than
to the new one. `stale@seen=k` is their share after k new looks at the place
where something vanished, `moved_stale@seen=k` where it was moved. The baselines
stand beside the memories.
"""

import pathlib
from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np

from mirage_jax import worlds
from mirage_jax.arrays import Array, Bool
from mirage_jax.data.sources.catalog import traits_of
from mirage_jax.evaluation import writing
from mirage_jax.evaluation.baselines.memories import make_baselines
from mirage_jax.evaluation.entrants import Entrant
from mirage_jax.evaluation.memories import memories_of
from mirage_jax.evaluation.metrics import statistics
from mirage_jax.evaluation.reports.tables import Table
from mirage_jax.evaluation.suite import Setting, Suite
from mirage_jax.evaluation.suites.readout_views import claims
from mirage_jax.geometry.clips import Clip, take_frames
from mirage_jax.memory.contract import Memory, Readout
from mirage_jax.progress import Progress

KINDS = ('stale', 'moved_stale')  # vanished, moved
LOOKS = (0, 1, 2, 4, 8)
VIEWS = 4  # that are read
CHANGED = 0.1  # of [0, 1], in some channel
MIN_PIXELS = 40  # of a view that shows the place
FRAMES_AT_ONCE = 4
SCENES = 16  # at most


def changed_pixels(before: Clip, after: Clip) -> Bool[np.ndarray, 't h w']:
  """Marks pixels where two clips differ in colour."""
  apart = np.abs(_unit(before.rgb) - _unit(after.rgb)).max(-1)
  return apart > CHANGED


def _unit(rgb: Array) -> np.ndarray:
  return np.asarray(rgb, np.float32) / 255


def split_views(
  changed: Bool[np.ndarray, 't h w'],
) -> tuple[np.ndarray, np.ndarray] | None:
  """Frames to look with and frames to read, in turns; None if too few."""
  shows = np.flatnonzero(changed.sum((1, 2)) >= MIN_PIXELS)
  if len(shows) < 2 * VIEWS:
    return None
  read = shows[:: max(2, len(shows) // VIEWS)][:VIEWS]
  look = np.setdiff1d(shows, read)
  return look[: max(LOOKS)], read


def stale_share(
  readout: Readout, before: Clip, after: Clip, changed: Array
) -> float:
  """Share of the changed pixels that are shown as they were."""
  shown = np.clip(np.asarray(readout.rgb) * 0.5 + 0.5, 0, 1)
  old, new = (
    ((shown - _unit(clip.rgb)) ** 2).sum(-1) for clip in (before, after)
  )
  stale = changed & claims(readout) & (old < new)
  return float(stale.sum() / changed.sum())


def measure(
  memory: Memory, before: Clip, after: Clip, name: str = 'stale'
) -> dict[str, float]:
  """`NAME@seen=k` of one scene; empty if the place is hardly in view."""
  changed = changed_pixels(before, after)
  split = split_views(changed)
  if split is None:
    return {}
  look, views = split
  write = writing.make_write(memory)
  read = writing.make_read(memory, *before.depth_m.shape[-2:])
  asked, old = take_frames(after, views), take_frames(before, views)
  state = memory.init(jnp.asarray(before.world_from_camera[0]))
  for part in writing.chunks_of(before, FRAMES_AT_ONCE):
    state = write(memory.reserve(state, part.depth_m.size), part)
  state = memory.advance(state)
  found = {}
  for seen in range(len(look) + 1):
    if seen:
      frame = take_frames(after, look[seen - 1 : seen])
      state = write(memory.reserve(state, frame.depth_m.size), frame)
    if seen in LOOKS:
      if memory.needs_future:
        state = write(memory.reserve(state, asked.depth_m.size), asked)
      readout = jax.device_get(read(state, asked.cameras))
      share = stale_share(readout, old, asked, changed[views])
      found[f'{name}@seen={seen}'] = share
  return found


def run(
  memories: Mapping[str, Memory],
  source: str = 'rooms',
  *,
  scenes: int = 16,
  frames: int = 32,
  seed: int = 0,
) -> dict[str, dict]:
  """Stale shares of each memory, `{name: {metric: interval}}`."""
  config = worlds.WorldConfig(
    kind=source, frames=frames, paths=('random_walk',), movers=False
  )
  key = jax.random.fold_in(jax.random.key(seed), 1)
  memories = {**memories, **make_baselines(config.height, config.width)}
  progress = Progress('changed', scenes * len(memories))
  metrics = [f'{kind}@seen={k}' for kind in KINDS for k in LOOKS]
  values = {name: {metric: [] for metric in metrics} for name in memories}
  for i in range(scenes):
    clips = worlds.make_changed_clips(jax.random.fold_in(key, i), config)
    before, *after = clips
    for name, memory in memories.items():
      found = {}
      for kind, clip in zip(KINDS, after, strict=True):
        found |= measure(memory, before, clip, kind)
      for metric, each in values[name].items():
        each.append(found.get(metric, np.nan))
      progress.advance()
  arrays = {
    name: {metric: np.array(x) for metric, x in metrics.items()}
    for name, metrics in values.items()
  }
  return statistics.summarise(arrays, seed)


def evaluate(
  setting: Setting, entrants: Mapping[str, Entrant], folder: pathlib.Path
) -> Table:
  """Writes frames of a scene in which an object has vanished or moved.

  Raises:
    ValueError: a source whose objects cannot be removed.
  """
  del folder  # no pictures
  if not traits_of(setting.source).changes_scenes:
    raise ValueError(
      f"suite changed takes things away, which '{setting.source}' does not "
      'allow; give --source=rooms or streets'
    )
  return run(
    memories_of(entrants),
    setting.source,
    scenes=min(setting.episodes, SCENES),
    seed=setting.seed,
  )


SUITE = Suite(
  name='changed',
  question='How soon is an object gone that vanished or moved unseen?',
  note=(
    'Share of the changed pixels that are still shown as they were, after so '
    'many new looks at the place: where an object vanished, and (`moved_`) '
    'where it was moved by a metre.'
  ),
  main=('stale@seen=4', 'moved_stale@seen=4'),
  run=evaluate,
  needs_changes=True,
)
