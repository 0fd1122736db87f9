"""Cameras and clips; conventions are in `cameras`.

cameras      projection, rays, relative poses; OpenCV axes, metres
clips        posed frames, and operations on all of their fields
paths        camera paths: orbit, pan, follow
contraction  unbounded space to a ball (mip-NeRF 360, eq. 10), and back
rendering    compositing of samples along rays
completion   fills missing depth from its neighbours
"""
