"""Prompts that begin alike are read once: their keys and values are kept."""
