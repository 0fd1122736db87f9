"""The hash grid: surfels keyed by place, on a few levels of cells.

grid: `HashGrid`, the settings and operations
lattice: cells of points, and rows of cells
table: the state of sums
observation: from posed depth images to quantised points and free space
scatter: the scatter-add of an observation, and its negative
ray_marching: the first pass of a readout, which finds surfaces along rays
surfels: the second pass, which reads the surfels near them
readout: both passes together, and the confidence
erasure: forgetting regions
"""
