"""Mirage: video generation with a persistent spatial memory."""
