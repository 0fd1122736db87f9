"""The models floor of Mirage."""
