"""Helpers of the tests: the asking side, fakes (named so), tiny models."""
