"""The memory floor of Mirage."""
