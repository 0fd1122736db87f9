"""Layers of neural networks.

attention    multi-head attention and its kernels
embeddings   patches, noise levels and rotary positions
mlp          the feed-forward block
modulation   normalisation that follows a condition (adaLN-zero)
"""
