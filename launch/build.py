"""The composition root: every part of an experiment from its config."""

from typing import Any

import ml_collections

from mirage_jax.data.pipeline import make_pipeline as pipeline
from mirage_jax.data.sources import open_source
from mirage_jax.flow import LogitNormal, Sampler
from mirage_jax.memory.hash_grid import HashGrid
from mirage_jax.models.mirage import Mirage
from mirage_jax.training.objective import Objective

MEMORIES = ('none', 'hash_grid')


def make_memory(config: ml_collections.ConfigDict, exact: bool):
  """The memory of `config.memory`; None for a window model.

  Raises:
    ValueError: for an unknown kind.
  """
  settings = config.memory.to_dict()
  kind = settings.pop('kind')
  if kind not in MEMORIES:
    raise ValueError(f'unknown memory {kind!r}; have {", ".join(MEMORIES)}')
  if kind == 'none':
    return None
  features = 3 + config.model.learned_features
  return HashGrid(features=features, exact=exact, **settings)


def make_model(
  config: ml_collections.ConfigDict, exact: bool = False
) -> Mirage:
  """The world model; `exact` memories are for inference."""
  return Mirage(memory=make_memory(config, exact), **config.model.to_dict())


def make_source(config: ml_collections.ConfigDict, split: str = 'train'):
  """The clips of `config.source`."""
  settings = config.source.to_dict()
  return open_source(settings.pop('kind'), split=split, **settings)


def make_pipeline(config: ml_collections.ConfigDict, **shard: int):
  """The stream of training episodes."""
  return pipeline(
    make_source(config), seed=config.seed, **config.data.to_dict(), **shard
  )


def make_objective(config: ml_collections.ConfigDict, model: Mirage):
  """`(params, episode, key) -> (loss, parts)`."""
  settings = config.objective.to_dict()
  levels = LogitNormal(**settings.pop('levels'))
  objective = Objective(levels=levels, **settings)

  def evaluate(params: Any, episode: Any, key: Any):
    return objective(model, params, episode, key)

  return evaluate


def make_sampler(config: ml_collections.ConfigDict) -> Sampler:
  """The sampler of `config.sampler`."""
  return Sampler(**config.sampler.to_dict())
