"""The savings and the cost of eviction."""
