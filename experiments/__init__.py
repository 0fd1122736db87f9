"""Experiments: one config file each; see README.md for the list.

`get_config()` returns all that a run depends on. Most files take another's
config and state the only differences. A docstring gives command, cost and the
numbers to expect.
"""
