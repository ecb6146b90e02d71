"""A bounded search for the shortest text that completes what a matcher has seen."""

import heapq
import itertools
from collections.abc import Iterator

from llguidance import LLMatcher

from timebill_ros.inference.constraint.vocabulary import Vocabulary

_MOST_STATES = 64
_LONGEST = 64
_PER_CLASS = 2
"""Of digits, of small and of capital letters: they mostly lead to the same."""
_ALIKE = ('isdigit', 'islower', 'isupper')


def shortest_end(vocabulary: Vocabulary, matcher: LLMatcher) -> str | None:
    """Return a text after which the matcher accepts; None: none is found in 64 states.

    States after as many characters whose next tokens are the same count as one.

    Arguments:
        matcher: it stays as it is.
    """
    numbers = itertools.count()
    queue = [(0, next(numbers), '', matcher.deep_copy())]
    seen: set[tuple[int, bytes]] = set()
    while queue and len(seen) < _MOST_STATES:
        _, _, text, state = heapq.heappop(queue)
        if state.is_accepting():
            return text
        if forced := state.compute_ff_tokens():
            # Where only one text may follow, the mask has its tokens and no other way to write it.
            if state.try_consume_tokens(forced) == len(forced):
                text += _text(vocabulary, forced)
                heapq.heappush(queue, (len(text), next(numbers), text, state))
            continue
        mask = state.compute_bitmask()
        if state.is_error() or (len(text), mask) in seen or len(text) > _LONGEST:
            continue
        seen.add((len(text), mask))
        for sign, token_id in _signs(vocabulary, mask):
            following = state.deep_copy()
            if following.consume_token(token_id):
                heapq.heappush(queue, (len(text) + 1, next(numbers), text + sign, following))
    return None


def _text(vocabulary: Vocabulary, token_ids: list[int]) -> str:
    content: bytes = vocabulary.tokens.decode_bytes(token_ids)
    return content.decode(errors='replace')  # half a character fits nothing: that is checked


def _signs(vocabulary: Vocabulary, mask: bytes) -> Iterator[tuple[str, int]]:
    """Yield the characters that may come, and few that are alike."""
    counts: dict[str, int] = {}
    for sign, token_id in vocabulary.signs.items():
        if mask[token_id >> 3] >> (token_id & 7) & 1:
            kind = next((name for name in _ALIKE if getattr(sign, name)()), sign)
            counts[kind] = counts.get(kind, 0) + 1
            if counts[kind] <= _PER_CLASS:
                yield sign, token_id
