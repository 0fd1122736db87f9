"""The flow floor of Mirage."""
