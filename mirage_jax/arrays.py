"""Names of array concepts, stated once.

Axis letters: b batch, t frames, h height, w width, n tokens of a frame,
d width of the model, r rays, s samples, l levels, e table entries, f features,
p points, o objects. Leading axes that a function maps over are `*batch`.
"""

import jax
import numpy as np
from jaxtyping import Bool, Float, Int, Key, UInt8, UInt32

Array = jax.Array | np.ndarray

__all__ = ['Array', 'Bool', 'Float', 'Int', 'Key', 'UInt8', 'UInt32']
