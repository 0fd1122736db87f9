"""What an experiment runs, lowered for devices that need not be here."""

import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import ml_collections
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from launch import build, lookups
from launch.runs import Run, Settings, make_run
from mirage_jax import sections, sharding, trees
from mirage_jax.data.episodes import Episode
from mirage_jax.geometry.clips import Clip
from mirage_jax.memory import tables
from mirage_jax.models import flops
from mirage_jax.models.generate import generate_chunk
from mirage_jax.models.mirage import (
  Mirage,
  init_params,
  init_states,
  read_views,
  write_frames,
)
from mirage_jax.sharding import RULES

NAMES = ('train', 'sample', 'write', 'read')


@dataclasses.dataclass(frozen=True)
class Program:
  """One compiled function of an experiment.

  Attributes:
    name: train, sample, write or read.
    lower: makes it.
    flops: of its matrix products, counted by hand, over all devices; those of
      a write or a read are too few to count, and those of a teacher are not.
    arguments: shapes of what it is given and keeps, by kind.
    asked: bytes that its lookups ask for, over all devices; counted for a
      write and a read.
  """

  name: str
  lower: Callable[[], jax.stages.Lowered]
  flops: float
  arguments: dict[str, Any]
  asked: float = 0.0


def make_programs(
  config: ml_collections.ConfigDict, devices: Sequence[jax.Device]
) -> list[Program]:
  """The programs of an experiment on a mesh of `devices`.

  Its `data.batch_size` is of all devices together.
  """
  settings = sections.call(Settings, 'train', config.train)
  run = make_run(config, settings, devices)
  programs = [_train(config, run)]
  return programs + _rollout(config, run)


def _train(config: ml_collections.ConfigDict, run: Run) -> Program:
  data = config.data
  batch = Episode(
    history=_clip(config, data.history),
    context=_clip(config, data.context),
    target=_clip(config, data.target),
    key=_array((data.batch_size, 2), jnp.int32),
    known=_array((data.batch_size, 2), bool),
  )
  batch = trees.shapes(
    batch, jax.tree.map(lambda _: sharding.batch_sharding(run.mesh), batch)
  )
  written = data.history + data.context if run.model.memory else 0
  sizes = _sizes(config, run.model, written)
  operations = flops.train_step(sizes)
  if config.objective.own_prediction and written:
    operations += flops.one_call(sizes)
  frozen = trees.shapes(
    run.frozen, sharding.parameter_shardings(run.mesh, run.frozen)
  )
  return Program(
    'train',
    lambda: _lower(run.mesh, run.step, run.shapes, batch, *frozen),
    data.batch_size * operations,
    {
      'parameters': run.shapes.params,
      'optimizer': run.shapes.opt_state,
      'average': run.shapes.ema,
      'frozen': frozen,
      'batch': batch,
    },
  )


def _rollout(config: ml_collections.ConfigDict, run: Run) -> list[Program]:
  """A step of a rollout: sample a chunk, write it, read the next."""
  mesh, data = run.mesh, config.data
  platform = mesh.devices.flat[0].platform
  model = build.make_model(config, exact=True, platform=platform)
  sampler = build.make_sampler(config)
  size = config.source.height, config.source.width
  whole = sharding.batch_sharding(mesh)

  def divided(tree: Any) -> Any:
    return trees.shapes(tree, jax.tree.map(lambda _: whole, tree))

  params = jax.eval_shape(
    lambda key: init_params(model, key, *size), jax.random.key(0)
  )
  params = jax.tree.map(lambda x: _array(x.shape, jnp.bfloat16), params)
  params = trees.shapes(params, sharding.parameter_shardings(mesh, params))
  context = divided(_clip(config, data.context))
  target = divided(_clip(config, data.target))
  key = jax.eval_shape(lambda: jax.random.key(0))
  states = jax.eval_shape(
    lambda frame: init_states(model, frame), _array((data.batch_size, 4, 4))
  )
  states = None if states is None else _lay(mesh, model, states)

  def sample(params, key, context, cameras, states):
    return generate_chunk(
      model, params, key, context, cameras, states, sampler
    )[0]

  def write(params, states, clip, model=model):
    return write_frames(model, params, states, clip, True)

  def read(params, states, cameras, model=model):
    return read_views(model, params, states, cameras, *size)

  calls = sampler.steps if sampler.kind == 'euler' else 2 * sampler.steps - 1
  count = data.batch_size * flops.sample_chunk(
    _sizes(config, model, data.target if model.memory else 0), calls
  )
  held = {'parameters': params, 'memory': states}
  arguments = (params, key, context, target.cameras, states)
  programs = [
    Program('sample', lambda: _lower(mesh, sample, *arguments), count, held)
  ]
  if states is None:
    return programs
  plain = build.make_model(config, exact=True, platform='cpu')
  for function, given in ((write, target), (read, target.cameras)):
    lower = functools.partial(_lower, mesh, function, params, states, given)
    alike = functools.partial(function, model=plain)
    asked = lookups.count(alike, params, states, given)
    name = function.__name__
    programs.append(Program(name, lower, 0.0, held, asked))
  return programs


def _lay(mesh: Mesh, model: Mirage, states: Any) -> Any:
  """Where memories lie: scenes on the batch's devices, tables in parts."""
  specs: Any = PartitionSpec()
  if getattr(model.memory, 'sharded', False):
    specs = tables.specs()

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


def _sizes(
  config: ml_collections.ConfigDict, model: Mirage, written: int
) -> flops.Sizes:
  return flops.Sizes(
    transformer=dict(model.transformer),
    patch=config.model.patch,
    height=config.source.height,
    width=config.source.width,
    context=config.data.context,
    target=config.data.target,
    written=written,
    learned_features=config.model.learned_features,
  )


def _clip(config: ml_collections.ConfigDict, frames: int) -> Clip:
  """Shapes of a batch of clips."""
  b, h, w = config.data.batch_size, config.source.height, config.source.width
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
