"""The composition root: every part of an experiment from its config."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import ml_collections
import numpy as np

from launch import sections
from mirage_jax.data.pipeline import make_pipeline as pipeline
from mirage_jax.data.sources import open_source
from mirage_jax.flow import LogitNormal, Sampler
from mirage_jax.geometry.clips import take_frames
from mirage_jax.memory.files import KINDS
from mirage_jax.models import cells
from mirage_jax.models.generate import generate_chunk
from mirage_jax.models.mirage import (
  Mirage,
  init_params,
  init_states,
  write_frames,
)
from mirage_jax.models.video import decode_colour, fill_masks
from mirage_jax.models.video_transformer import VideoTransformer
from mirage_jax.training.metrics import contact_sheet
from mirage_jax.training.objective import Objective
from mirage_jax.training.opening import check_params, open_checkpoint

# What `auto` kernels are; plain elsewhere.
LOOKUP = {'tpu': 'vmem'}
ATTENTION = {'tpu': 'flash', 'gpu': 'cudnn'}


def make_memory(
  config: ml_collections.ConfigDict, exact: bool, platform: str = ''
):
  """The memory of `config.memory`; None for a window model.

  An exact memory is for rollouts, which are longer than the episodes of
  training: what `config.rollout_memory` says outranks `config.memory`.

  Args:
    config: the experiment.
    exact: see above.
    platform: what it is to run on, by default what JAX runs on here.

  Raises:
    ValueError: for an unknown kind.
  """
  settings = config.memory.to_dict()
  kind = settings.pop('kind')
  if exact:
    settings |= config.rollout_memory.to_dict()
  if kind == 'none':
    return None
  if kind not in KINDS:
    raise ValueError(f'unknown memory {kind!r}; have none, {", ".join(KINDS)}')
  cell = config.model.get('cell', 1)
  known = {
    'features': cells.num_features(cell, config.model.learned_features),
    'exact': exact,
    'height': config.source.height // cell,
    'width': config.source.width // cell,
    'window': config.data.context,
    'patch': config.model.patch,
    'kernel': _kernel(settings.get('kernel', 'auto'), LOOKUP, platform),
  }
  fields = {field.name for field in dataclasses.fields(KINDS[kind])}
  settings |= {name: known[name] for name in fields & known.keys()}
  return sections.call(KINDS[kind], 'memory', settings)


def make_model(
  config: ml_collections.ConfigDict, exact: bool = False, platform: str = ''
) -> Mirage:
  """The world model; see `make_memory`."""
  settings = config.model.to_dict()
  transformer = settings['transformer']
  sections.check(VideoTransformer, 'model.transformer', transformer)
  kernel = transformer.get('kernel', 'plain')
  transformer['kernel'] = _kernel(kernel, ATTENTION, platform)
  settings['memory'] = make_memory(config, exact, platform)
  model = sections.call(Mirage, 'model', settings)
  memory = model.memory
  whole = memory is not None and (memory.layers() or not memory.renders)
  if model.cell > 1 and whole:
    raise ValueError(
      f'model.cell is {model.cell}, but a {config.memory.kind} keeps whole '
      'pictures; expected 1'
    )
  return model


def _kernel(kernel: str, kernels: dict[str, str], platform: str) -> str:
  """The kernel of that name, or the one that is best on a platform."""
  if kernel != 'auto':
    return kernel
  return kernels.get(platform or jax.default_backend(), 'plain')


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


def make_objective(config: ml_collections.ConfigDict, model: Mirage):
  """`(params, episode, key) -> (loss, parts)`."""
  settings = config.objective.to_dict()
  levels = settings.pop('levels')
  levels = sections.call(LogitNormal, 'objective.levels', levels)
  objective = sections.call(
    Objective, 'objective', settings | {'levels': levels}
  )

  def evaluate(params: Any, episode: Any, key: Any):
    return objective(model, params, episode, key)

  return evaluate


def make_sampler(config: ml_collections.ConfigDict) -> Sampler:
  """The sampler of `config.sampler`."""
  return sections.call(Sampler, 'sampler', config.sampler)


def load_model(
  checkpoint: str, exact: bool = True
) -> tuple[Mirage, Any, ml_collections.ConfigDict]:
  """A trained model, its variables and its config.

  Args:
    checkpoint: a workdir, a released folder, or the name of a shipped model.
    exact: whether memories add integers (order-free) instead of floats.

  Raises:
    FileNotFoundError: there is no such checkpoint.
    ValueError: it is damaged, or of another architecture.
  """
  opened = open_checkpoint(checkpoint)
  config = ml_collections.ConfigDict(opened.config)
  model = make_model(config, exact)
  height, width = config.source.height, config.source.width
  expected = jax.eval_shape(
    lambda key: init_params(model, key, height, width), jax.random.key(0)
  )
  check_params(opened.params, expected, checkpoint)
  return model, opened.params, config


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
