"""The recorded eviction ratios. A replay rounds any other ratio up to the next one."""

import math

GRID = tuple(round(0.05 * step, 2) for step in range(20))
"""0, 0.05, ... 0.95."""


def kept_tokens(prompt_tokens: int, alpha: float, min_kept_tokens: int) -> int:
    """Return how many tokens of a prompt stay at a ratio, as a planner rounds."""
    kept = max(min_kept_tokens, math.floor((1.0 - alpha) * prompt_tokens + 1e-9))
    return min(kept, prompt_tokens)


def rounded_up(kept: int, prompt_tokens: int, min_kept_tokens: int) -> float:
    """Return the smallest ratio of the grid that keeps no more than a plan does.

    The grid ends at 0.95, which is the planner's largest ratio too.
    """
    return next(
        (alpha for alpha in GRID if kept_tokens(prompt_tokens, alpha, min_kept_tokens) <= kept),
        GRID[-1],
    )
