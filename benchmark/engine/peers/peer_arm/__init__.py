"""An arm with another engine: needs only its package, numpy and the standard library."""
