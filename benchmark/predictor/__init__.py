"""Measures how right predicted lengths are, and what they are worth."""
