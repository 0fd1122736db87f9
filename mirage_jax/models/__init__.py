"""The world model: memory, generator and codec.

codec              between clips and the values that a generator denoises
conditioning       all inputs of a generator beside the noisy frames
generator          a transformer that denoises posed frames
video_transformer  attention over the tokens of all frames
pixel_groups       one point of a memory for several pixels
world_model        joins memory, generator and codec
scenes             memories of a batch of scenes
sampling           one chunk by integrating the flow
rollout            chunk by chunk, with compiled programs
trained            world model, parameters and settings of an experiment
flops              operations counted by hand
"""
