"""The training floor of Mirage."""
