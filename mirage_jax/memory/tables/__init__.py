"""Tables of rows that are summed into, shared by the memories.

accumulators: 40- and 48-bit integer sums, whose order does not matter
sums: sums of either kind, their merging, and the quantising of features
hashing: hashes of cells and keys
sharded: tables divided over devices
vmem: a Pallas kernel for row lookups on TPUs
first_true: the first true places of a mask, faster than `jnp.nonzero`
"""
