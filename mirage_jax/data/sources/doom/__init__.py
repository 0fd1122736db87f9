"""Clips of a real game: levels of Freedoom, played by ViZDoom."""
