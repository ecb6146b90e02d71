"""Predictors of how long an answer becomes."""
