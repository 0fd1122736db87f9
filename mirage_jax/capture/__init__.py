"""Recordings without poses or depth; all of `launch.ingest`.

colmap      camera poses of a video, by COLMAP
nerf_field  a radiance field in hashed tables
nerf_fit    optimises a field until its views look like the photos
depth       depth of a clip from a fitted field
inspection  checks poses, axes and depth by carrying pixels between frames
"""
