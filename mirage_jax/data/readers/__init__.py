"""Readers of recordings.

folders       a folder in the nerfstudio layout
transforms    its `transforms.json`: poses and intrinsics
undistortion  removes lens distortion
depth_images  depth images in metres, and their writing
recordings    TUM RGB-D and RealEstate10K; writes a clip as a folder
movi          Kubric's MOVi datasets, as TFDS stores them
"""
