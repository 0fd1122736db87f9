"""Memories: where what was seen or generated stays.

contract: `Memory`, the laws, `Layout`; every memory is a subclass
views: `Observed`, `Views`, `Readout`, the pytrees that go in and come out
laws: `check(memory)`, the property test of every law that a memory claims
kinds: the memories by the names that configs use
storage: `save` and `load` of a state with its settings
regions: `Box` and `Sphere`, which can be forgotten
view_grid: the memory of the shipped models
hash_grid: surfels keyed by place, read by rays
baselines: point cloud, frame bank, planes, recurrent state, oracle
tables: exact sums, hashes, sharding and the TPU kernel, shared by the grids
"""
