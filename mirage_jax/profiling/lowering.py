"""Lowers the programs of an experiment, for devices that need not be here."""

import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from mirage_jax import build, sharding, trees
from mirage_jax.build import Settings
from mirage_jax.data.episodes import Episode
from mirage_jax.geometry.clips import Clip
from mirage_jax.models import flops, rollout
from mirage_jax.models.scenes import init_states, read_views, write_frames
from mirage_jax.models.world_model import WorldModel, init_params
from mirage_jax.profiling import costs
from mirage_jax.runs.run import Run
from mirage_jax.sharding import RULES

NAMES = ('train', 'sample', 'write', 'read')


@dataclasses.dataclass(frozen=True)
class Program:
  """One compiled function of an experiment.

  Attributes:
    name: train, sample, write or read.
    lower: lowers it.
    flops: of its matrix products, by formula, over all devices; 0 for a write
      and a read; a teacher's are left out.
    arguments: shapes of its arguments, by kind.
    asked: bytes that its lookups ask for, over all devices; 0 for a training
      and a sampling step.
  """

  name: str
  lower: Callable[[], jax.stages.Lowered]
  flops: float
  arguments: dict[str, Any]
  asked: float = 0.0


def make_programs(
  settings: Settings, devices: Sequence[jax.Device]
) -> list[Program]:
  """Makes the programs of an experiment on a mesh of `devices`.

  Its `data.batch_size` is of all devices together.
  """
  run = build.make_run(settings, devices)
  programs = [_train(settings, run)]
  return programs + _rollout(settings, run)


def _train(settings: Settings, run: Run) -> Program:
  data = settings['data']
  batch = Episode(
    history=_clip(settings, data['history']),
    context=_clip(settings, data['context']),
    target=_clip(settings, data['target']),
    key=_array((data['batch_size'], 2), jnp.int32),
    known=_array((data['batch_size'], 2), bool),
  )
  batch = trees.shapes(
    batch, jax.tree.map(lambda _: sharding.batch_sharding(run.mesh), batch)
  )
  written = data['history'] + data['context'] if run.model.memory else 0
  sizes = _sizes(settings, run.model, written)
  operations = flops.train_step(sizes)
  if settings['objective']['own_prediction'] and written:
    operations += flops.one_call(sizes)
  frozen = trees.shapes(
    run.frozen, sharding.parameter_shardings(run.mesh, run.frozen)
  )
  return Program(
    'train',
    lambda: _lower(run.mesh, run.step, run.shapes, batch, *frozen),
    data['batch_size'] * operations,
    {
      'parameters': run.shapes.params,
      'optimizer': run.shapes.opt_state,
      'average': run.shapes.ema,
      'frozen': frozen,
      'batch': batch,
    },
  )


def _rollout(settings: Settings, run: Run) -> list[Program]:
  """Makes the programs of a rollout: sample a chunk, write it, read views."""
  mesh, data = run.mesh, settings['data']
  platform = mesh.devices.flat[0].platform
  model = build.make_model(settings, exact=True, platform=platform)
  sampler = build.make_sampler(settings)
  size = settings['source']['height'], settings['source']['width']
  whole = sharding.batch_sharding(mesh)

  def divided(tree: Any) -> Any:
    return trees.shapes(tree, jax.tree.map(lambda _: whole, tree))

  params = jax.eval_shape(
    lambda key: init_params(model, key, *size), jax.random.key(0)
  )
  params = jax.tree.map(lambda x: _array(x.shape, jnp.bfloat16), params)
  params = trees.shapes(params, sharding.parameter_shardings(mesh, params))
  context = divided(_clip(settings, data['context']))
  target = divided(_clip(settings, data['target']))
  key = jax.eval_shape(lambda: jax.random.key(0))
  states = jax.eval_shape(
    lambda frame: init_states(model, frame), _array((data['batch_size'], 4, 4))
  )
  states = None if states is None else _lay(mesh, model, states)

  def sample(params, key, context, states, cameras, time_s):
    return rollout.generate(
      model, sampler, params, key, context, states, cameras, time_s
    )[0]

  def write(params, states, clip, model=model):
    return write_frames(model, params, states, clip, True)

  def read(params, states, cameras, model=model):
    return read_views(model, params, states, cameras, *size)

  calls = sampler.steps if sampler.kind == 'euler' else 2 * sampler.steps - 1
  count = data['batch_size'] * flops.sample_chunk(
    _sizes(settings, model, data['target'] if model.memory else 0), calls
  )
  held = {'parameters': params, 'memory': states}
  arguments = (params, key, context, states, target.cameras, target.time_s)
  programs = [
    Program('sample', lambda: _lower(mesh, sample, *arguments), count, held)
  ]
  if states is None:
    return programs
  plain = build.make_model(settings, exact=True, platform='cpu')
  for function, given in ((write, target), (read, target.cameras)):
    lower = functools.partial(_lower, mesh, function, params, states, given)
    alike = functools.partial(function, model=plain)
    asked = costs.lookup_bytes(alike, params, states, given)
    name = function.__name__
    programs.append(Program(name, lower, 0.0, held, asked))
  return programs


def _lay(mesh: Mesh, model: WorldModel, states: Any) -> Any:
  """Lays memories out: scenes over the batch's devices, tables in shards."""
  specs: Any = PartitionSpec()
  if model.memory is not None:
    specs = model.memory.partition()

  def lay(spec: PartitionSpec, part: Any) -> Any:
    where = NamedSharding(mesh, PartitionSpec(RULES['batch'], *spec))
    return trees.shapes(part, jax.tree.map(lambda _: where, part))

  return jax.tree.map(
    lay, specs, states, is_leaf=lambda x: isinstance(x, PartitionSpec)
  )


def _lower(mesh: Mesh, function: Any, *arguments: Any) -> jax.stages.Lowered:
  with jax.set_mesh(mesh):
    if not hasattr(function, 'lower'):
      function = jax.jit(function)
    return function.lower(*arguments)


def _sizes(settings: Settings, model: WorldModel, written: int) -> flops.Sizes:
  return flops.Sizes(
    transformer=dict(model.generator.transformer),
    patch=settings['model']['patch'],
    height=settings['source']['height'],
    width=settings['source']['width'],
    context=settings['data']['context'],
    target=settings['data']['target'],
    written=written,
    learned_features=settings['model']['learned_features'],
    channels=model.codec.channels,
    masks=model.codec.masks,
  )


def _clip(settings: Settings, frames: int) -> Clip:
  """Returns the shapes of a batch of clips."""
  b, h, w = (
    settings['data']['batch_size'],
    settings['source']['height'],
    settings['source']['width'],
  )
  return Clip(
    rgb=_array((b, frames, h, w, 3), jnp.uint8),
    depth_m=_array((b, frames, h, w)),
    intrinsics=_array((b, frames, 4)),
    world_from_camera=_array((b, frames, 4, 4)),
    time_s=_array((b, frames)),
    dynamic=_array((b, frames, h, w), bool),
    sky=_array((b, frames, h, w), bool),
  )


def _array(shape: tuple[int, ...], dtype=jnp.float32) -> Any:
  return jax.ShapeDtypeStruct(shape, dtype)
