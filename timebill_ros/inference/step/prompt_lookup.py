"""Guesses how an answer goes on: as the same tokens went on before, in its prompt or in itself."""

from collections.abc import Sequence

LONGEST, SHORTEST = 3, 2
"""Newest tokens that must have been there before: so many are looked up first, then fewer."""


class PromptLookup:
    """Prompt lookup decoding (Saxena, 2023). A look-up and a new token take constant time.

    Arguments:
        ids: the prompt.
    """

    def __init__(self, ids: Sequence[int]) -> None:
        self._ids = list(ids)
        self._after: dict[tuple[int, ...], int] = {}
        """Where the latest tokens stand that followed others, which are not the newest."""
        for size in range(SHORTEST, LONGEST + 1):
            grams = zip(*(self._ids[start:] for start in range(size)), strict=False)
            self._after.update(zip(grams, range(size, len(self._ids)), strict=False))

    def add(self, token_id: int) -> None:
        """Add the answer's next token."""
        for size in range(SHORTEST, LONGEST + 1):
            if len(self._ids) >= size:
                self._after[tuple(self._ids[-size:])] = len(self._ids)
        self._ids.append(token_id)

    def following(self, most: int) -> tuple[int, list[int]]:
        """Return how many of the newest tokens were there before, and what may come next.

        Arguments:
            most: at most so many tokens come next; none, if the newest are new.
        """
        for size in range(LONGEST, SHORTEST - 1, -1):
            place = self._after.get(tuple(self._ids[-size:]))
            if place is not None:
                return size, self._ids[place : place + most]
        return 0, []
