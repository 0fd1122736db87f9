"""Measures speed, and counts the cost of compiled programs.

cases         speed of worlds, training and sampling, by row of the benchmark
memory_cases  speed of memories, empty and after many chunks
timing        calls that take turns; medians and quartiles
devices       slices of TPUs that need not be here, and their peak figures
lowering      training step, sampling step, write and read, lowered
costs         operations, bytes and collectives of a compiled program
hlo           a compiled program's text, parsed
traffic       bytes that one instruction moves
kernels       operations and bytes of attention kernels
tables        costs as Markdown and JSON
"""
