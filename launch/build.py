"""The composition root: every part of an experiment from its config."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import ml_collections
import numpy as np

from mirage_jax import assembly, sections
from mirage_jax.data.pipeline import make_pipeline as pipeline
from mirage_jax.data.sources import open_source, turns_of
from mirage_jax.flow import LogitNormal, Sampler
from mirage_jax.geometry.clips import take_frames
from mirage_jax.memory.contract import Memory
from mirage_jax.models.generate import generate_chunk
from mirage_jax.models.mirage import Mirage, init_states, write_frames
from mirage_jax.models.video import decode_colour, fill_masks
from mirage_jax.training.distillation import Distillation
from mirage_jax.training.metrics import contact_sheet
from mirage_jax.training.objective import Objective


def make_memory(
  config: ml_collections.ConfigDict, exact: bool, platform: str = ''
) -> Memory | None:
  """The memory of an experiment; see `assembly.make_memory`."""
  return assembly.make_memory(config.to_dict(), exact, platform)


def make_model(
  config: ml_collections.ConfigDict, exact: bool = False, platform: str = ''
) -> Mirage:
  """The world model of an experiment; see `assembly.make_model`."""
  return assembly.make_model(config.to_dict(), exact, platform)


def make_source(config: ml_collections.ConfigDict, split: str = 'train'):
  """The clips of `config.source`."""
  settings = config.source.to_dict()
  return open_source(settings.pop('kind'), split=split, **settings)


def make_pipeline(
  config: ml_collections.ConfigDict, split: str = 'train', **options: int
):
  """The stream of episodes; `options` outrank `config.data`."""
  settings = config.data.to_dict() | {'seed': config.seed} | options
  source = {'source': make_source(config, split)}
  return sections.call(pipeline, 'data', settings | source)


def make_teacher(
  config: ml_collections.ConfigDict, platform: str = ''
) -> assembly.Trained | None:
  """The model of `config.distillation`; None without such a section.

  Raises:
    FileNotFoundError: there is no such checkpoint.
    ValueError: its frames or windows are not those of the experiment.
  """
  if 'distillation' not in config:
    return None
  if 'teacher' not in config.distillation:
    raise ValueError(
      "config key 'distillation.teacher' is missing; add it to the experiment"
    )
  name, source, data = config.distillation.teacher, config.source, config.data
  teacher = assembly.load(name, exact=False, platform=platform)
  theirs = *teacher.size, *teacher.window
  ours = source.height, source.width, data.context, data.target
  if theirs != ours:
    raise ValueError(
      f'teacher {name} has (height, width, context, target) {theirs}, this '
      f'experiment {ours}; expected the same'
    )
  return teacher


def make_objective(
  config: ml_collections.ConfigDict,
  model: Mirage,
  teacher: assembly.Trained | None = None,
) -> Callable[..., Any]:
  """`(params, episode, key) -> (loss, parts)`.

  With a teacher it takes the teacher's parameters, too.
  """
  settings = config.objective.to_dict()
  levels = settings.pop('levels')
  levels = sections.call(LogitNormal, 'objective.levels', levels)
  settings |= {'levels': levels, 'sources': turns_of(config.source.kind)}
  objective = sections.call(Objective, 'objective', settings)
  if teacher is not None:
    settings = config.distillation.to_dict()
    settings |= {'objective': objective, 'sampler': make_sampler(config)}
    settings['teacher'] = teacher.model
    objective = sections.call(Distillation, 'distillation', settings)
  return functools.partial(objective, model)


def make_sampler(config: ml_collections.ConfigDict) -> Sampler:
  """The sampler of `config.sampler`."""
  return assembly.make_sampler(config.to_dict())


def make_sample_sheet(
  config: ml_collections.ConfigDict, model: Mirage
) -> Callable[[Any, Any], np.ndarray]:
  """`(params, episode) -> picture`: target, generated, and what memory shows.

  Two rows an episode without a memory, three with one.
  """
  sampler = make_sampler(config)

  @jax.jit
  def generate(params, episode):
    window = fill_masks(episode.context)
    states = init_states(model, episode.history.world_from_camera[:, 0])
    for past in (episode.history, episode.context):
      states = write_frames(model, params, states, past, False)
    return generate_chunk(
      model,
      params,
      jax.random.key(0),
      window,
      episode.target.cameras,
      states,
      sampler,
    )

  def sheet(params, episode) -> np.ndarray:
    frames, readout = generate(params, episode)
    rows = []
    for i in range(min(4, len(episode.key))):
      window = take_frames(episode.context, i).rgb
      target = np.concatenate([window, episode.target.rgb[i]])
      made = np.concatenate([window, decode_colour(frames.rgb[i])])
      rows += [target, made]
      if readout is not None:
        shown = decode_colour(readout.rgb[i] * readout.opacity[i][..., None])
        rows.append(np.concatenate([np.zeros_like(window), shown]))
    return contact_sheet(rows)

  return sheet
