"""The nn floor of Mirage."""
