"""Measures.

image          PSNR, SSIM and depth errors
perceptual     LPIPS, and features of VGG16
feature_sets   collects features of pictures by entrant
distributions  KID and Frechet distance between sets
statistics     means, bootstrap intervals and paired differences
visibility     returned and fresh pixels
"""
