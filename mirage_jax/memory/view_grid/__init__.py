"""The view grid: a hashed surfel table keyed by view.

A view cell is a box of camera positions and a sector of headings. What its
cameras saw is averaged in bins of direction and log distance; such an entry is
a surfel. Its key is hashed to three rows of one table, and its sums are added
to all three: the table is an invertible Bloom lookup table (Goodrich and
Mitzenmacher 2011). Reading decodes it: a row that holds one entry names that
entry; the entry is subtracted from its other rows, which frees further ones.

grid: `ViewGrid`, the settings and operations
keys: from posed depth images to view cells, bins and rows
table: the state, and its scatter-add
peeling: the decoding of entries that share rows
splatting: drawing decoded surfels into views
erasure: forgetting regions, and views that there is no room for
"""
