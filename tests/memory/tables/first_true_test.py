import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mirage_jax.memory.tables.first_true import first_true


@pytest.mark.parametrize('share', [0.0, 0.02, 0.5, 1.0])
@pytest.mark.parametrize(
  'count, size', [(1, 1), (31, 40), (64, 8), (1000, 500)]
)
def test_it_is_nonzero(count, size, share):
  masks = np.random.default_rng(count).random((3, count)) < share
  found = jax.jit(jax.vmap(lambda mask: first_true(mask, size)))(masks)
  for mask, row in zip(masks, found, strict=True):
    wanted = jnp.nonzero(jnp.asarray(mask), size=size, fill_value=count)[0]
    np.testing.assert_array_equal(row, wanted)
