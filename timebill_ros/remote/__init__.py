"""Engines on other machines: a process that asks an OpenAI-compatible server. No torch."""
