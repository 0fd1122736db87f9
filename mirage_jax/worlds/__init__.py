"""The worlds floor of Mirage."""
