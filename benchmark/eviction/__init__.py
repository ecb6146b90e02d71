"""Measures what eviction buys and what it costs."""
