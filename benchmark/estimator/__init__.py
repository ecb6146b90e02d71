"""Measures how right predicted times are, and whether the worst case holds."""
