"""How an answer is evicted, in `make bench-closed_loop`."""

Way = tuple[int, float]
"""Behind how many tokens the prompt is evicted, and the eviction ratio."""
WHOLE: Way = (0, 0.0)
"""The unevicted answer."""
