"""Laws of the objective: what counts, and what a hidden memory shows."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mirage_jax.data.episodes import Episode
from mirage_jax.geometry.clips import Clip, take_frames
from mirage_jax.memory.baselines.oracle import Oracle
from mirage_jax.memory.baselines.point_cloud import PointCloud
from mirage_jax.models.codec import fill_masks
from mirage_jax.models.world_model import init_params, make_pixel_model
from mirage_jax.training.losses import LOSSES
from mirage_jax.training.objective import Objective

SIZE = 16
MODEL = make_pixel_model(
  transformer={'width': 32, 'layers': 1, 'heads': 2},
  memory=PointCloud(features=3 + 4, capacity=2**10),
  learned_features=4,
)
OBJECTIVE = Objective(dict.fromkeys(LOSSES, 1.0))


@pytest.fixture(scope='module')
def params():
  return init_params(MODEL, jax.random.key(0), SIZE, SIZE)


@pytest.fixture(scope='module')
def episode() -> Episode:
  """Three frames of a grey wall 2 m ahead, in two scenes."""
  clip = fill_masks(
    Clip(
      rgb=jnp.full((2, 3, SIZE, SIZE, 3), 90, jnp.uint8),
      depth_m=jnp.full((2, 3, SIZE, SIZE), 2.0),
      intrinsics=jnp.broadcast_to(jnp.array([0.8, 0.8, 0.5, 0.5]), (2, 3, 4)),
      world_from_camera=jnp.broadcast_to(jnp.eye(4), (2, 3, 4, 4)),
      time_s=jnp.zeros((2, 3)),
    )
  )
  parts = [take_frames(clip, slice(i, i + 1), axis=1) for i in range(3)]
  return Episode(
    *parts, key=np.zeros((2, 2), np.int32), known=np.ones((2, 2), bool)
  )


def parts_of(objective, params, episode, key=0, model=MODEL):
  key = jax.random.key(key)
  loss, parts = jax.jit(
    lambda params, episode: objective(model, params, episode, key)
  )(params, episode)
  return {name: float(x) for name, x in (parts | {'loss': loss}).items()}


def test_the_loss_is_the_weighted_sum_of_its_parts(params, episode):
  weights = {'rgb': 1.0, 'depth': 0.5, 'dynamic': 0.25, 'sky': 2.0}
  parts = parts_of(Objective(weights), params, episode)
  total = sum(weights[name] * parts[name] for name in LOSSES)
  assert parts['loss'] == pytest.approx(total, rel=1e-5)
  assert parts_of(Objective(weights), params, episode) == parts
  assert parts_of(Objective(weights), params, episode, key=1) != parts


def test_a_hidden_memory_shows_nothing(params, episode):
  shown = parts_of(OBJECTIVE, params, episode)
  hidden = dataclasses.replace(OBJECTIVE, memory_dropout=1.0)
  hidden = parts_of(hidden, params, episode)
  assert shown['memory_opacity'] > 0.3 and shown['memory_gate'] > 0
  assert hidden['memory_opacity'] == hidden['memory_gate'] == 0
  assert hidden['rgb'] > shown['rgb']


def test_own_predictions_hide_the_truth(params, episode):
  """The network then learns what to do where a sampler will be."""
  leaves, tree = jax.tree.flatten(params)
  keys = jax.random.split(jax.random.key(1), len(leaves))
  leaves = [
    x + 0.1 * jax.random.normal(key, x.shape)
    for x, key in zip(leaves, keys, strict=True)
  ]
  params = jax.tree.unflatten(tree, leaves)
  other = episode.replace(
    target=episode.target.replace(rgb=255 - episode.target.rgb)
  )
  own = dataclasses.replace(OBJECTIVE, own_prediction=1.0)
  for objective, alike in ((own, True), (OBJECTIVE, False)):
    ours, others = (parts_of(objective, params, x) for x in (episode, other))
    assert (ours['memory_gate'] == others['memory_gate']) is alike
    assert ours['rgb'] != others['rgb']  # it still is what is to be said
  hidden = dataclasses.replace(own, memory_dropout=1.0)
  plain = dataclasses.replace(hidden, own_prediction=0.0)
  parts = [parts_of(each, params, episode) for each in (hidden, plain)]
  # What no memory shows is learned as before.
  assert parts[0] == pytest.approx(parts[1], rel=1e-5)


def test_what_is_unknown_costs_nothing(params, episode):
  target = dataclasses.replace(
    episode.target, depth_m=0 * episode.target.depth_m
  )
  unknown = episode.replace(target=target, known=np.zeros((2, 2), bool))
  parts = parts_of(OBJECTIVE, params, unknown)
  assert parts['depth'] == parts['dynamic'] == parts['sky'] == 0
  assert parts['rgb'] > 0
  both = parts_of(OBJECTIVE, params, episode)
  one = episode.replace(known=np.array([[True, False], [False, False]]))
  one = parts_of(OBJECTIVE, params, one)
  assert 0 < one['dynamic'] < both['dynamic'] and one['sky'] == 0


def test_losses_without_names_and_shares_above_one_are_refused():
  with pytest.raises(ValueError, match='expected exactly'):
    Objective({'rgb': 1.0})
  with pytest.raises(ValueError, match=r'own_prediction is 2.*expected 0 to 1'):
    dataclasses.replace(OBJECTIVE, own_prediction=2.0)


def test_an_oracle_is_shown_the_target(params, episode):
  del params
  model = dataclasses.replace(MODEL, memory=Oracle(SIZE, SIZE, capacity=4))
  variables = init_params(model, jax.random.key(0), SIZE, SIZE)
  far = jnp.asarray(episode.target.world_from_camera).at[..., 0, 3].add(5.0)
  target = episode.target.replace(world_from_camera=far)
  episode = episode.replace(target=target)
  parts = parts_of(OBJECTIVE, variables, episode, model=model)
  assert parts['memory_opacity'] == 1


def test_a_mixture_has_a_loss_for_each_source(params, episode):
  episode = dataclasses.replace(
    episode, key=np.array([[4, 0], [5, 0]], np.int32)
  )
  mixed = dataclasses.replace(OBJECTIVE, sources=('a', 'b', 'b'))
  parts = parts_of(mixed, params, episode)
  assert parts['share@a'] == 0  # 4 % 3 and 5 % 3 are turns of b
  assert parts['share@b'] == 1
  assert parts['loss@b'] == pytest.approx(parts['loss'])
  turns = dataclasses.replace(OBJECTIVE, sources=('a', 'b'))
  apart = parts_of(turns, params, episode)
  assert apart['share@a'] == apart['share@b'] == 0.5
  assert apart['loss@a'] + apart['loss@b'] == pytest.approx(parts['loss'])
  assert apart['loss@a'] != apart['loss@b']
  assert not [
    name for name in parts_of(OBJECTIVE, params, episode) if '@' in name
  ]
