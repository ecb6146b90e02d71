"""How many tokens a prompt has, before it is tokenised."""

_BYTES_PER_TOKEN = 4.0
_PROMPTS = 20
"""About so many of the last prompts count."""


class PromptLength:
    """Learns how many bytes a token has from the prompts that have been tokenised."""

    def __init__(self) -> None:
        self._tokens = 1000.0
        self._bytes = _BYTES_PER_TOKEN * self._tokens

    def observe(self, size: int, tokens: int) -> None:
        """Learn from a prompt.

        Arguments:
            size: of prompt and system prompt [bytes, UTF-8].
            tokens: with the chat template.
        """
        fading = 1.0 - 1.0 / _PROMPTS
        self._bytes = fading * self._bytes + size
        self._tokens = fading * self._tokens + tokens

    def tokens(self, size: int) -> int:
        """Return the expected length of a prompt [tokens]."""
        return max(1, round(size * self._tokens / self._bytes))
