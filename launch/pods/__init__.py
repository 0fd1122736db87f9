"""Launchers of training on pods, and what they run there."""
