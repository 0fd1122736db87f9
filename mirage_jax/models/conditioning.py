"""All inputs of a generator beside the noisy frames."""

import flax.struct

from mirage_jax.arrays import Array, Float
from mirage_jax.geometry.cameras import Cameras
from mirage_jax.models.codec import CodedReadout
from mirage_jax.nn.attention import KeysValues


@flax.struct.dataclass
class EncodedContext:
  """Keys and values of the context frames, the same for all sampler steps.

  Attributes:
    anchor: `[b, 4, 4]` pose of the last frame; rays are relative to it.
    past: keys and values that a chunk attends to; None for a generator
      without attention between frames.
  """

  anchor: Float[Array, 'b 4 4']
  past: KeysValues | None = None


@flax.struct.dataclass
class Conditioning:
  """All inputs of a generator beside the noisy frames `[b, t]`.

  `WorldModel.condition` makes it. A new input is a field here, a projection
  in the generator that starts at zero, and an argument of that method.

  Attributes:
    context: encoded frames just before the chunk.
    cameras: `[b, t]` of the chunk.
    readout: the memory's rendering of the chunk; None without a memory.
    action: `[b, t, a]` input of a player that leads to each frame; None is
      read as zeros.
  """

  context: EncodedContext
  cameras: Cameras
  readout: CodedReadout | None = None
  action: Float[Array, 'b t a'] | None = None
