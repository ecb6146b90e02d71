"""Keys and values of a prompt and its answer, and their eviction."""
