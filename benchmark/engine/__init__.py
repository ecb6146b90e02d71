"""Measures how fast the engine reads and writes."""
