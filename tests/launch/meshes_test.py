"""Laws of the mesh: what is trained does not depend on it."""

import jax
import numpy as np
import pytest

from experiments import smoke
from mirage_jax import sharding
from mirage_jax.build import make_run

STEPS = 3


def make_config(memory='view_grid', **changes):
  config = smoke.get_config()
  config.source.update(height=16, width=16, frames=8, clips=8)
  config.data.update(batch_size=8, history=2, context=1, target=1)
  config.model.transformer.update(width=128, heads=4)
  config.memory.kind = memory
  config.update_from_flattened_dict(changes)
  return config


def run(devices, data=-1, fsdp=1, model=1, **changes):
  """Loss and norm of the gradient of some steps, and the last state."""
  config = make_config(**changes)
  config.mesh.update(data=data, fsdp=fsdp, model=model)
  made = make_run(config.to_dict(), jax.devices()[:devices])
  state, seen = made.init(jax.random.key(0)), []
  step = sharding.on(made.mesh, made.step)
  for _ in range(STEPS):
    state, parts = step(state, made.place(next(made.batches)))
    seen.append([float(parts['loss']), float(parts['gradient_norm'])])
  return np.array(seen), state


@pytest.mark.parametrize(
  'devices, sizes', [(2, (2, 1, 1)), (4, (1, 4, 1)), (8, (2, 2, 2))]
)
def test_any_mesh_trains_as_one_device(devices, sizes, one_device):
  seen, state = run(devices, *sizes, memory='none')
  np.testing.assert_allclose(seen, one_device[0], rtol=2e-5)
  kernel = state.params['params']['generator']['trunk']['blocks']['mlp']['up'][
    'kernel'
  ]
  whole = one_device[1].params['params']['generator']['trunk']['blocks']['mlp'][
    'up'
  ]
  np.testing.assert_allclose(kernel, whole['kernel'], atol=2e-5)
  part = kernel.addressable_shards[0].data.shape
  _, fsdp, model = sizes
  assert part == (2, 128 // fsdp, 512 // model)


@pytest.fixture(scope='module')
def one_device():
  return run(1, memory='none')


@pytest.mark.slow
def test_any_mesh_trains_a_memory_as_one_device():
  whole, _ = run(1)
  divided, _ = run(8, data=2, fsdp=2, model=2)
  np.testing.assert_allclose(divided, whole, rtol=2e-5)
