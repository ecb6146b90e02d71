"""Short queries: refused in every possible way, or answered with one word."""

import random

from benchmark.deadlines.asker import Ask

_QUESTIONS = ('Say yes.', 'Is the door open?', 'Which way?', 'Stop or go?')
_TOO_LONG = 'The shelf is empty, the box was moved. ' * 60
"""Takes longer to read than an infeasible query has."""
_KINDS = {
    # kind: weight, time budget [s], longest answer [tokens]
    'answered': (4, 5.0, 1),
    'written': (1, 5.0, 6),
    'killed': (1, 0.25, 400),
    'infeasible': (52, 0.15, 8),
    'expired': (20, -1.0, 8),
    'invalid': (20, 1e6, 8),
}


def short_queries(seed: int, prefix: str, count: int) -> list[Ask]:
    """Return queries, mostly ones that are refused.

    Arguments:
        prefix: of their ids.
    """
    draw = random.Random(f'{seed}-{prefix}')
    kinds = draw.choices(list(_KINDS), [weight for weight, _, _ in _KINDS.values()], k=count)
    return [
        Ask(
            f'{prefix}-{number:05}',
            kind,
            (_TOO_LONG if kind == 'infeasible' else '') + draw.choice(_QUESTIONS),
            budget_s,
            max_new_tokens,
        )
        for number, kind in enumerate(kinds)
        for _, budget_s, max_new_tokens in (_KINDS[kind],)
    ]
