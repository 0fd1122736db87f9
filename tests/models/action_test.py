"""Laws of the action input: it starts without effect and is learned."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mirage_jax.flow import Sampler
from mirage_jax.models import rollout
from mirage_jax.models.world_model import init_params, make_pixel_model
from tests.training.objective_test import OBJECTIVE, SIZE
from tests.training.objective_test import episode as episode

TRUNK = {'width': 32, 'layers': 1, 'heads': 2}
MODEL = make_pixel_model(TRUNK, action_features=3)


@pytest.fixture(scope='module')
def params():
  return init_params(MODEL, jax.random.key(0), SIZE, SIZE)


@pytest.fixture(scope='module')
def acted(episode):
  """The episode with an action for each target frame."""
  target = episode.target
  return episode.replace(target=target.replace(action=jnp.ones((2, 1, 3))))


def gradient(params, episode):
  def loss(params):
    return OBJECTIVE(MODEL, params, episode, jax.random.key(0))[0]

  return jax.jit(jax.value_and_grad(loss))(params)


def test_a_new_action_input_changes_nothing(params, episode, acted):
  generator = params['params']['generator']
  assert generator['action_in']['kernel'].shape == (3, 32)
  chex.assert_trees_all_equal(
    generator['action_in']['kernel'], jnp.zeros((3, 32))
  )
  bare = make_pixel_model(TRUNK)
  without = {name: x for name, x in generator.items() if name != 'action_in'}
  plain = {'params': {'generator': without}}
  loss, _ = gradient(params, acted)
  parts = OBJECTIVE(bare, plain, acted, jax.random.key(0))
  np.testing.assert_allclose(loss, parts[0], rtol=1e-6)
  assert jax.tree.structure(plain) == jax.tree.structure(
    init_params(bare, jax.random.key(0), SIZE, SIZE)
  )


def test_gradients_reach_the_action_input(params, episode, acted):
  # The head starts at zero too, and passes no gradient on until it moves.
  params = jax.tree.map(lambda x: x + 0.1 * (x == 0), params)
  for given, some in ((acted, True), (episode, False)):
    _, found = gradient(params, given)
    kernel = found['params']['generator']['action_in']['kernel']
    assert bool(jnp.abs(kernel).max() > 0) is some


def test_a_rollout_follows_its_action_and_refuses_others(params, episode):
  params = jax.tree.map(
    lambda x: x + 0.1 * jnp.sin(jnp.arange(x.size)).reshape(x.shape), params
  )
  compiled = rollout.CompiledModel(MODEL, params, Sampler(steps=1), 1, 1)
  clip = episode.target
  session = compiled.observe(compiled.start(clip.world_from_camera[:, 0]), clip)

  def made(action):
    key = jax.random.key(0)
    return compiled.generate(session, key, clip.cameras, clip.time_s, action)[0]

  nothing, zeros, ones = (
    made(x) for x in (None, jnp.zeros((2, 1, 3)), jnp.ones((2, 1, 3)))
  )
  np.testing.assert_array_equal(nothing.rgb, zeros.rgb)
  assert (np.asarray(ones.rgb) != zeros.rgb).any()
  with pytest.raises(ValueError, match=r'expected \(2, 1, 3\)'):
    made(jnp.ones((2, 1, 4)))
