"""The data floor of Mirage."""
