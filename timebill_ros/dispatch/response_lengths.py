"""How long answers become, learned from those that were given: for what a queue will take."""

from collections import deque
from statistics import median_low

ANSWERS = 50


class ResponseLengths:
    """The lengths of the last answers, of which the median is expected of the next.

    Only answers that ended by themselves count. Those that were cut off would have been longer, so
    what is expected is rather too short than too long: it refuses too few rather than too many.
    """

    def __init__(self) -> None:
        self._tokens: deque[int] = deque(maxlen=ANSWERS)

    def observe(self, response_tokens: int) -> None:
        """Learn from an answer that ended by itself."""
        self._tokens.append(response_tokens)

    def expected_tokens(self, max_new_tokens: int) -> int:
        """Return the length to expect [tokens]; 1, the shortest, while nothing is known.

        Arguments:
            max_new_tokens: what the answer cannot exceed.
        """
        return max(1, min(max_new_tokens, median_low(self._tokens))) if self._tokens else 1
