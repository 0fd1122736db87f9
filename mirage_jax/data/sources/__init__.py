"""Sources: clips by index, whatever they come from.

A source has a length, and `source[i]` is a `Clip` of NumPy arrays.

  catalog  opens a source, or a mixture of several, by name
  traits   abilities of a source
  world    procedural worlds, rendered on demand
  doom/    levels of Freedoom, played by ViZDoom
  folder   a recording in the nerfstudio layout
  npz      recorded episodes in one file
  tfds     datasets that `launch.prepare` wrote, and MOVi
"""
