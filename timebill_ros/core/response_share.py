"""How long answers become, learned from those that were given: for what a queue will take."""

from collections import deque

ANSWERS = 50


class ResponseShare:
    """The mean share of max_new_tokens that the last answers came to.

    Only answers that ended by themselves count. Those that were cut off would have been longer, so
    the share is rather too small than too large: it refuses too few rather than too many.
    """

    def __init__(self) -> None:
        self._shares: deque[float] = deque(maxlen=ANSWERS)

    def observe(self, response_tokens: int, max_new_tokens: int) -> None:
        """Learn from an answer that ended by itself."""
        self._shares.append(min(1.0, response_tokens / max_new_tokens))

    def expected_tokens(self, max_new_tokens: int) -> int:
        """Return the length to expect [tokens]; 1, the shortest, while nothing is known."""
        if not self._shares:
            return 1
        return max(1, round(max_new_tokens * sum(self._shares) / len(self._shares)))
