"""Clips of levels of Freedoom, played by ViZDoom.

source   clips by index; every split has levels of its own
levels   sectors, walls and things of a level
walking  camera paths through the places that can be walked to
game     plays a path and records frames, labels and poses
casting  exact metric depth, cast through the sectors
"""
