"""The geometry floor of Mirage."""
