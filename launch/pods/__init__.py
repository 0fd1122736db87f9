"""Launchers of training on pods, and the program that they restart."""
