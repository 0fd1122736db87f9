"""Contact sheets of what a model generates while it is trained."""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from mirage_jax.flow import Sampler
from mirage_jax.geometry.clips import take_frames
from mirage_jax.models.codec import decode_colour, fill_masks
from mirage_jax.models.sampling import generate_chunk
from mirage_jax.models.world_model import Mirage, init_states, write_frames
from mirage_jax.runs.metrics import contact_sheet


def make_sample_sheet(
  model: Mirage, sampler: Sampler
) -> Callable[[Any, Any], np.ndarray]:
  """`(params, episode) -> picture`: target, generated, and what memory shows.

  Two rows an episode without a memory, three with one.
  """

  @jax.jit
  def generate(params, episode):
    window = fill_masks(episode.context)
    states = init_states(model, episode.history.world_from_camera[:, 0])
    for past in (episode.history, episode.context):
      states = write_frames(model, params, states, past, False)
    return generate_chunk(
      model,
      params,
      jax.random.key(0),
      window,
      episode.target.cameras,
      states,
      sampler,
    )

  def sheet(params, episode) -> np.ndarray:
    frames, readout = generate(params, episode)
    rows = []
    for i in range(min(4, len(episode.key))):
      window = take_frames(episode.context, i).rgb
      target = np.concatenate([window, episode.target.rgb[i]])
      made = np.concatenate([window, decode_colour(frames.rgb[i])])
      rows += [target, made]
      if readout is not None:
        shown = decode_colour(readout.rgb[i] * readout.opacity[i][..., None])
        rows.append(np.concatenate([np.zeros_like(window), shown]))
    return contact_sheet(rows)

  return sheet
