"""Contact sheets of what a model generates while it is trained."""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from mirage_jax.data.episodes import Episode
from mirage_jax.flow import Sampler
from mirage_jax.geometry.clips import Clip, take_frames
from mirage_jax.memory.contract import Readout
from mirage_jax.models import rollout
from mirage_jax.models.codec import decode_colour, fill_masks
from mirage_jax.models.scenes import init_states, write_frames
from mirage_jax.models.world_model import WorldModel
from mirage_jax.runs.metrics import contact_sheet


def make_sample_sheet(
  model: WorldModel, sampler: Sampler
) -> Callable[[Any, Any], np.ndarray]:
  """Makes `(params, episode) -> picture`: target, generated, readout.

  Two rows an episode without a memory, three with one.
  """

  @jax.jit
  def generate(params: Any, episode: Episode) -> tuple[Clip, Readout | None]:
    context, target = fill_masks(episode.context), episode.target
    states = init_states(model, episode.history.world_from_camera[:, 0])
    for past in (episode.history, context):
      states = write_frames(model, params, states, past, False)
    made, readout, _ = rollout.generate(
      model,
      sampler,
      params,
      jax.random.key(0),
      context,
      states,
      target.cameras,
      target.time_s,
      target.action,
    )
    return made, readout

  def sheet(params: Any, episode: Episode) -> np.ndarray:
    made, readout = generate(params, episode)
    rows = []
    for i in range(min(4, len(episode.key))):
      context = take_frames(episode.context, i).rgb
      rows.append(np.concatenate([context, episode.target.rgb[i]]))
      rows.append(np.concatenate([context, made.rgb[i]]))
      if readout is not None:
        shown = decode_colour(readout.rgb[i] * readout.opacity[i][..., None])
        rows.append(np.concatenate([np.zeros_like(context), shown]))
    return contact_sheet(rows)

  return sheet
