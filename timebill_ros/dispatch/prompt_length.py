"""How many tokens a prompt has, before it is tokenised."""

_PROMPTS = 20
"""About so many of the last prompts count."""
_TOKENS_PER_BYTE, _RATE_SPREAD = 0.25, 0.15
_TEMPLATE_SPREAD = 50.0
"""Tokens that a chat template may add, about."""


class PromptLength:
    """Learns what a byte and the chat template make in tokens, from prompts that were tokenised.

    It is a straight line through their lengths. Short prompts are mostly chat template, and do
    not tell what a long one would have: where prompts tell nothing, the line stays near what is
    usual (linear regression with a prior).
    """

    def __init__(self) -> None:
        # Weighted sums of 1, x, y, x^2 and x*y: x in bytes, y in tokens.
        self._sums = (0.0, 0.0, 0.0, 0.0, 0.0)

    def observe(self, size: int, tokens: int) -> None:
        """Learn from a prompt.

        Arguments:
            size: of prompt and system prompt [bytes, UTF-8].
            tokens: with the chat template.
        """
        fading = 1.0 - 1.0 / _PROMPTS
        weight = 1.0 / (4.0 + 0.1 * tokens) ** 2  # lengths of a kind differ by a tenth
        terms = (1.0, float(size), float(tokens), float(size) ** 2, float(size) * tokens)
        self._sums = tuple(  # type: ignore[assignment]
            fading * known + weight * term for known, term in zip(self._sums, terms, strict=True)
        )

    def tokens(self, size: int) -> int:
        """Return the expected length of a prompt [tokens]."""
        one, x, y, xx, xy = self._sums
        one += 1.0 / _TEMPLATE_SPREAD**2
        xx += 1.0 / _RATE_SPREAD**2
        xy += _TOKENS_PER_BYTE / _RATE_SPREAD**2
        determinant = one * xx - x * x
        template = (y * xx - x * xy) / determinant
        rate = (one * xy - x * y) / determinant
        return max(1, round(max(0.0, template) + max(0.0, rate) * size))
