"""Outputs of an evaluation.

tables  metrics.json, Markdown tables and plots
videos  videos and contact sheets
cards   model cards
"""
