"""Clips, and the episodes that training cuts from them.

episodes  history, context and target of a training example
pipeline  batches of episodes, for each process its part
sources/  clips by index: worlds, a game, folders, files, datasets
readers/  file formats: nerfstudio, TUM, RealEstate10K, MOVi
builders/ writes clips to disk as TFDS datasets
resizing  crops and resizes clips with their cameras
caches    keeps clips in memory up to a budget
progress  progress lines of rendering
"""
