"""Builds every part of an experiment from its settings, as nested dicts.

The composition root: nothing below it sees a config. An experiment's
`get_config().to_dict()` is what the functions here take.
"""

import functools
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import jax
import jax.numpy as jnp

from mirage_jax import sections, sharding, trees
from mirage_jax.data.pipeline import make_pipeline as pipeline
from mirage_jax.data.sources.catalog import open_source, turns_of
from mirage_jax.flow import LogitNormal
from mirage_jax.memory.contract import Layout, Memory
from mirage_jax.memory.kinds import KINDS
from mirage_jax.models import pixel_groups
from mirage_jax.models.trained import Settings, TrainedModel, make_sampler
from mirage_jax.models.video_transformer import VideoTransformer
from mirage_jax.models.world_model import (
  WorldModel,
  init_params,
  make_pixel_model,
)
from mirage_jax.runs.locate import check_params, open_checkpoint
from mirage_jax.runs.run import Run
from mirage_jax.runs.run import Settings as TrainSettings
from mirage_jax.training.distillation import Distillation
from mirage_jax.training.objective import Objective
from mirage_jax.training.optimizer import make_optimizer
from mirage_jax.training.state import TrainState, create_state
from mirage_jax.training.step import make_train_step

Mode = Literal['train', 'rollout']

# What `auto` kernels are; plain elsewhere.
LOOKUP = {'tpu': 'vmem'}
ATTENTION = {'tpu': 'flash', 'gpu': 'cudnn'}


def make_memory(
  settings: Settings, mode: Mode, platform: str = ''
) -> Memory | None:
  """Makes the memory of `settings['memory']`; None for a window model.

  Args:
    settings: of the experiment.
    mode: 'train' for float32 sums, which can be trained; 'rollout' for exact
      sums, at the sizes of `rollout_memory`: rollouts are longer than the
      episodes of training.
    platform: that it is to run on, by default JAX's here.

  Raises:
    ValueError: an unknown kind or key, or a key that the model decides.
  """
  memory = dict(settings['memory'])
  kind = memory.pop('kind')
  if mode == 'rollout':
    memory |= settings['rollout_memory']
  if kind == 'none':
    return None
  if kind not in KINDS:
    raise ValueError(f'unknown memory {kind!r}; have none, {", ".join(KINDS)}')
  model, source = settings['model'], settings['source']
  group = model['pixel_group']
  layout = Layout(
    features=pixel_groups.num_features(group, model['learned_features']),
    height=source['height'] // group,
    width=source['width'] // group,
    context_frames=settings['data']['context'],
    patch=model['patch'],
    exact=mode == 'rollout',
  )
  if 'lookup' in memory:
    memory['lookup'] = _kernel(memory['lookup'], LOOKUP, platform)
  return KINDS[kind].make(memory, layout)


def make_model(
  settings: Settings, exact: bool = False, platform: str = ''
) -> WorldModel:
  """Makes the world model; see `make_memory`."""
  model = dict(settings['model'])
  transformer = dict(model['transformer'])
  sections.check(VideoTransformer, 'model.transformer', transformer)
  kernel = transformer.get('kernel', 'plain')
  transformer['kernel'] = _kernel(kernel, ATTENTION, platform)
  memory = make_memory(settings, 'rollout' if exact else 'train', platform)
  parts = {'transformer': transformer, 'memory': memory}
  made = sections.call(make_pixel_model, 'model', model | parts)
  whole = memory is not None and (memory.layers() or not memory.renders)
  if made.pixel_group > 1 and whole:
    raise ValueError(
      f'model.pixel_group is {made.pixel_group}, but a '
      f'{settings["memory"]["kind"]} keeps whole pictures; expected 1'
    )
  return made


def load(
  checkpoint: str | os.PathLike, exact: bool = True, platform: str = ''
) -> TrainedModel:
  """Loads a trained model.

  Args:
    checkpoint: a workdir, a released folder, or the name of a shipped model.
    exact: whether memories add integers (order-free) instead of floats.
    platform: see `make_memory`.

  Raises:
    FileNotFoundError: there is no such checkpoint.
    ValueError: it is damaged, or of another architecture.
  """
  opened = open_checkpoint(checkpoint)
  model = make_model(opened.config, exact, platform)
  trained = TrainedModel(model, opened.params, opened.config)
  expected = jax.eval_shape(
    lambda key: init_params(model, key, *trained.size), jax.random.key(0)
  )
  check_params(opened.params, expected, checkpoint)
  return trained


def make_source(settings: Settings, split: str = 'train'):
  """Opens the clips of `settings['source']`."""
  source = dict(settings['source'])
  return open_source(source.pop('kind'), split=split, **source)


def make_pipeline(settings: Settings, split: str = 'train', **options: int):
  """Makes the stream of episodes; `options` outrank `settings['data']`."""
  data = dict(settings['data']) | {'seed': settings['seed']} | options
  data['source'] = make_source(settings, split)
  return sections.call(pipeline, 'data', data)


def make_teacher(settings: Settings, platform: str = '') -> TrainedModel | None:
  """Loads the teacher of `settings['distillation']`; None without one.

  Raises:
    FileNotFoundError: there is no such checkpoint.
    ValueError: its frames, context or chunks are not those of the experiment.
  """
  if 'distillation' not in settings:
    return None
  if 'teacher' not in settings['distillation']:
    raise ValueError(
      "config key 'distillation.teacher' is missing; add it to the experiment"
    )
  name = settings['distillation']['teacher']
  source, data = settings['source'], settings['data']
  teacher = load(name, exact=False, platform=platform)
  theirs = *teacher.size, teacher.context_frames, teacher.chunk_frames
  ours = source['height'], source['width'], data['context'], data['target']
  if theirs != ours:
    raise ValueError(
      f'teacher {name} has (height, width, context, target) {theirs}, this '
      f'experiment {ours}; expected the same'
    )
  return teacher


def make_objective(
  settings: Settings,
  model: WorldModel,
  teacher: TrainedModel | None = None,
) -> Callable[..., Any]:
  """Makes `(params, episode, key) -> (loss, parts)`.

  With a teacher it takes the teacher's parameters, too.
  """
  section = dict(settings['objective'])
  levels = sections.call(LogitNormal, 'objective.levels', section.pop('levels'))
  sources = turns_of(settings['source']['kind'])
  section |= {'levels': levels, 'sources': sources}
  objective = sections.call(Objective, 'objective', section)
  if teacher is not None:
    section = dict(settings['distillation'])
    section |= {'objective': objective, 'sampler': make_sampler(settings)}
    section['teacher'] = teacher.model
    objective = sections.call(Distillation, 'distillation', section)
  return functools.partial(objective, model)


def make_run(
  settings: Settings,
  devices: Sequence[jax.Device] | None = None,
) -> Run:
  """Puts an experiment together; nothing is written or computed yet.

  Args:
    settings: of the experiment.
    devices: what to train on; None = all.
  """
  train = sections.call(TrainSettings, 'train', settings['train'])
  update = sections.call(make_optimizer, 'optimizer', settings['optimizer'])
  sections.check(sharding.make_mesh, 'mesh', settings['mesh'])
  mesh = sharding.make_mesh(**settings['mesh'], devices=devices)
  platform = mesh.devices.flat[0].platform
  model = make_model(settings, platform=platform)
  teacher = make_teacher(settings, platform)
  init = make_init(settings, model, update, train.ema > 0)
  shapes = jax.eval_shape(init, jax.random.key(settings['seed']))
  shardings = sharding.parameter_shardings(mesh, shapes)
  step = make_train_step(
    make_objective(settings, model, teacher),
    update,
    seed=settings['seed'],
    ema=train.ema,
    compute_dtype=jnp.dtype(train.precision),
    accumulate=train.accumulate,
    state_sharding=shardings,
  )
  batches = make_pipeline(
    settings,
    process_index=jax.process_index(),
    process_count=jax.process_count(),
  )
  return Run(
    model=model,
    mesh=mesh,
    settings=train,
    init=jax.jit(init, out_shardings=shardings),
    shapes=trees.shapes(shapes, shardings),
    step=step,
    place=functools.partial(sharding.place_batch, mesh),
    batches=iter(batches),
    frozen=() if teacher is None else (teacher.params,),
  )


def make_init(
  settings: Settings,
  model: WorldModel,
  update: Any,
  ema: bool,
) -> Callable[[jax.Array], TrainState]:
  """Makes `key -> state` before the first step."""

  def init(key: jax.Array) -> TrainState:
    source = settings['source']
    params = init_params(model, key, source['height'], source['width'])
    return create_state(params, update, ema)

  return init


def _kernel(kernel: str, kernels: Mapping[str, str], platform: str) -> str:
  """Resolves `auto` to the best kernel on a platform."""
  if kernel != 'auto':
    return kernel
  return kernels.get(platform or jax.default_backend(), 'plain')
