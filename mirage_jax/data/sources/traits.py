"""Abilities of a source, which programs ask for instead of its name."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Traits:
  """Abilities of a source.

  Attributes:
    makes_clips: it makes any number of clips from a seed.
    renders_any_path: it renders ground truth along any camera path.
    has_episodes: its clips are episodes along paths of their own; a recording
      without them is one long clip, which is walked as asked.
    has_objects: its clips always have object ids.
    changes_scenes: objects can be moved and removed.
  """

  makes_clips: bool = False
  renders_any_path: bool = False
  has_episodes: bool = False
  has_objects: bool = False
  changes_scenes: bool = False
