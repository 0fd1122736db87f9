"""Baselines: trivial and oracle methods that bound every score.

rollouts  of episodes: ground truth, true views where they were observed,
          the nearest and the first observed frame, frozen video
memories  of suites without a generator: the first and the last written
          picture, and an oracle
readouts  of held-out frames: the nearest frame warped, a z-buffered cloud
"""
