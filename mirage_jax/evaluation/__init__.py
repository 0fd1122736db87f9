"""The evaluation floor of Mirage."""
