"""A tokenizer that makes no tokens: it only knows what each of them is."""

from tokenizers import Tokenizer
from tokenizers.models import WordLevel


class FakeTokenizer:
    """Knows some tokens; every seventh one ends a sentence, unless they are given.

    Arguments:
        vocabulary: their number.
        tokens: they, as a tokenizer spells them.
    """

    def __init__(self, vocabulary: int, tokens: list[str] | None = None) -> None:
        self._tokens = tokens or [
            f'{token}.' if token % 7 == 0 else f'a{token}' for token in range(vocabulary)
        ]
        self.added_tokens_decoder: dict[int, str] = {}
        self.backend_tokenizer = Tokenizer(WordLevel())

    def __len__(self) -> int:
        return len(self._tokens)

    def get_vocab(self) -> dict[str, int]:
        """Return the number of each token."""
        return {token: number for number, token in enumerate(self._tokens)}
