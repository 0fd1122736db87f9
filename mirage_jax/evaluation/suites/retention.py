"""The retention suite: what later writes cost what was written first.

A chunk of frames is written; after each later write it is read again, over the
pixels that were claimed right after its own write. The slope of its PSNR over
writes 1 ... 60 is what one write costs, in dB; the load of every level says how
full the table is by then. The baselines stand beside the memories.
"""

import pathlib
from collections.abc import Mapping, Sequence

import jax.numpy as jnp
import numpy as np

from mirage_jax.arrays import Float
from mirage_jax.evaluation import writing
from mirage_jax.evaluation.baselines.memories import make_baselines
from mirage_jax.evaluation.closed_loop import Curve
from mirage_jax.evaluation.entrants import Entrant
from mirage_jax.evaluation.memories import memories_of
from mirage_jax.evaluation.metrics import image, statistics
from mirage_jax.evaluation.reports import tables
from mirage_jax.evaluation.reports.tables import Table
from mirage_jax.evaluation.suite import Setting, Suite
from mirage_jax.evaluation.suites.readout_views import claims, static_pixels
from mirage_jax.geometry.clips import Clip
from mirage_jax.memory.contract import Memory
from mirage_jax.progress import Progress

WRITES = 60
SCENES = 8  # of worlds, at most


def retained_db(
  memory: Memory, chunks: Sequence[Clip]
) -> tuple[Float[np.ndarray, 'w'], Float[np.ndarray, 'l']]:
  """PSNR of the first chunk after each write, and the final load of levels."""
  first = chunks[0]
  write = writing.make_write(memory)
  read = writing.make_read(memory, *first.depth_m.shape[-2:])
  truth = np.asarray(first.rgb) / 255.0
  state = memory.init(jnp.asarray(first.world_from_camera[0]))
  mask, curve = None, []
  for chunk in chunks:
    state = memory.reserve(state, chunk.depth_m.size)
    state = write(state, chunk)
    view = read(state, first.cameras)
    if mask is None:
      mask = claims(view) & static_pixels(first)
    rgb = np.asarray(image.unit_rgb(view.rgb))
    error = ((rgb - truth) ** 2).mean(-1)
    mse = error[mask].mean() if mask.any() else np.nan
    curve.append(image.psnr_db(np.asarray(mse)))
  return np.array(curve), np.asarray(memory.load_factor(state))


def slope(curve: Float[np.ndarray, 'w']) -> float:
  """Least-squares slope of a curve over its index."""
  return float(np.polyfit(np.arange(len(curve)), curve, 1)[0])


def run(
  memories: Mapping[str, Memory],
  source: str = 'rooms',
  *,
  scenes: int = 8,
  writes: int = WRITES,
  seed: int = 0,
) -> tuple[dict[str, dict], dict[str, Float[np.ndarray, 'n w']]]:
  """Retention of each memory over long walks.

  Worlds give `scenes` of them, recordings as many as they hold, with as many
  writes as their clips are long.

  Returns:
    `{name: {metric: interval}}`, and the curves of PSNR by name.
  """
  walks = writing.open_walks(source, (writes + 1) * writing.CHUNK, scenes, seed)
  height, width = walks[0][0].depth_m.shape[-2:]
  memories = {**memories, **make_baselines(height, width)}
  progress = Progress('retention', len(walks) * len(memories))
  curves = {name: [] for name in memories}
  loads = {name: [] for name in memories}
  for chunks in walks:
    for name, memory in memories.items():
      curve, load = retained_db(memory, chunks)
      curves[name].append(curve)
      loads[name].append(load)
      progress.advance()
  table = {
    name: score(np.array(curves[name]), np.array(loads[name]), seed)
    for name in memories
  }
  return table, {name: np.array(curve) for name, curve in curves.items()}


def score(
  curves: Float[np.ndarray, 'n w'], loads: Float[np.ndarray, 'n l'], seed: int
) -> dict[str, statistics.Interval]:
  """Slopes from write 1 on, ends of the curves, and loads of the levels."""
  slopes = [slope(curve[1:]) for curve in curves]
  table = {
    'slope_db_per_write': statistics.interval(slopes, seed),
    'psnr_first_db': statistics.interval(curves[:, 0], seed),
    'psnr_last_db': statistics.interval(curves[:, -1], seed),
  }
  return table | {
    f'load@level={i}': statistics.interval(loads[:, i], seed)
    for i in range(loads.shape[1])
  }


def evaluate(
  setting: Setting, entrants: Mapping[str, Entrant], folder: pathlib.Path
) -> Table:
  """Reads the first chunk after every later write."""
  table, curves = run(
    memories_of(entrants),
    setting.source,
    scenes=min(setting.episodes, SCENES),
    seed=setting.seed,
  )
  lines = {
    name: (np.arange(curve.shape[1]), np.nanmean(curve, 0))
    for name, curve in curves.items()
  }
  curve = Curve('psnr_db of the first chunk', 'writes', lines)
  tables.plot_curve(folder / 'plots/retention.png', curve)
  return table


SUITE = Suite(
  name='retention',
  question='What do later writes cost what was written first?',
  main=('slope_db_per_write',),
  run=evaluate,
)
