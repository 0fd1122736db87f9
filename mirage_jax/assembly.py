"""Models put together from the settings of an experiment, as nested dicts."""

import dataclasses
import os
from collections.abc import Mapping
from typing import Any

import jax

from mirage_jax import sections
from mirage_jax.flow import Sampler
from mirage_jax.memory.contract import Memory
from mirage_jax.memory.files import KINDS
from mirage_jax.models import cells
from mirage_jax.models.mirage import Mirage, init_params
from mirage_jax.models.video_transformer import VideoTransformer
from mirage_jax.training.opening import check_params, open_checkpoint
from mirage_jax.training.state import Params

Settings = Mapping[str, Any]

# What `auto` kernels are; plain elsewhere.
LOOKUP = {'tpu': 'vmem'}
ATTENTION = {'tpu': 'flash', 'gpu': 'cudnn'}


@dataclasses.dataclass(frozen=True, eq=False)
class Trained:
  """A trained model.

  Attributes:
    model: the world model; its memory is exact if it was asked for so.
    params: its variables.
    settings: of the experiment that made it.
  """

  model: Mirage
  params: Params
  settings: dict[str, Any]

  @property
  def window(self) -> tuple[int, int]:
    """Frames of the window, and frames generated at once."""
    data = self.settings['data']
    return data['context'], data['target']

  @property
  def clip(self) -> int:
    """Frames of a clip that it was trained on."""
    return self.settings['source']['frames']

  @property
  def size(self) -> tuple[int, int]:
    """Height and width of its frames."""
    source = self.settings['source']
    return source['height'], source['width']


def make_memory(
  settings: Settings, exact: bool, platform: str = ''
) -> Memory | None:
  """The memory of `settings['memory']`; None for a window model.

  An exact memory is for rollouts, which are longer than the episodes of
  training: what `rollout_memory` says outranks `memory`.

  Args:
    settings: of the experiment.
    exact: see above.
    platform: what it is to run on, by default what JAX runs on here.

  Raises:
    ValueError: for an unknown kind.
  """
  memory = dict(settings['memory'])
  kind = memory.pop('kind')
  if exact:
    memory |= settings['rollout_memory']
  if kind == 'none':
    return None
  if kind not in KINDS:
    raise ValueError(f'unknown memory {kind!r}; have none, {", ".join(KINDS)}')
  model, source = settings['model'], settings['source']
  cell = model.get('cell', 1)
  known = {
    'features': cells.num_features(cell, model['learned_features']),
    'exact': exact,
    'height': source['height'] // cell,
    'width': source['width'] // cell,
    'window': settings['data']['context'],
    'patch': model['patch'],
    'lookup': _kernel(memory.get('lookup', 'auto'), LOOKUP, platform),
  }
  fields = {field.name for field in dataclasses.fields(KINDS[kind])}
  memory |= {name: known[name] for name in fields & known.keys()}
  return sections.call(KINDS[kind], 'memory', memory)


def make_model(
  settings: Settings, exact: bool = False, platform: str = ''
) -> Mirage:
  """The world model; see `make_memory`."""
  model = dict(settings['model'])
  transformer = dict(model['transformer'])
  sections.check(VideoTransformer, 'model.transformer', transformer)
  kernel = transformer.get('kernel', 'plain')
  transformer['kernel'] = _kernel(kernel, ATTENTION, platform)
  memory = make_memory(settings, exact, platform)
  made = sections.call(
    Mirage, 'model', model | {'transformer': transformer, 'memory': memory}
  )
  whole = memory is not None and (memory.layers() or not memory.renders)
  if made.cell > 1 and whole:
    raise ValueError(
      f'model.cell is {made.cell}, but a {settings["memory"]["kind"]} keeps '
      'whole pictures; expected 1'
    )
  return made


def make_sampler(settings: Settings, steps: int | None = None) -> Sampler:
  """The sampler of `settings['sampler']`, with other `steps` if given."""
  sampler = dict(settings['sampler'])
  if steps is not None:
    sampler['steps'] = steps
  return sections.call(Sampler, 'sampler', sampler)


def load(
  checkpoint: str | os.PathLike, exact: bool = True, platform: str = ''
) -> Trained:
  """A trained model.

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
  trained = Trained(model, opened.params, opened.config)
  expected = jax.eval_shape(
    lambda key: init_params(model, key, *trained.size), jax.random.key(0)
  )
  check_params(opened.params, expected, checkpoint)
  return trained


def _kernel(kernel: str, kernels: Mapping[str, str], platform: str) -> str:
  """The kernel of that name, or the one that is best on a platform."""
  if kernel != 'auto':
    return kernel
  return kernels.get(platform or jax.default_backend(), 'plain')
