"""Memories that others are compared with.

growing: states whose capacity doubles
point_cloud: every pixel is a point; after Latent Spatial Memory
frame_bank: past frames, retrieved by overlap; after WorldMem
planes: feature planes, rendered; after Honeycomb
recurrent: linear attention with decay
oracle: the true frames, which no memory can beat
"""
