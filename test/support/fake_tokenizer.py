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
        self._tokens = tokens or ['.' if token % 7 == 0 else 'a' for token in range(vocabulary)]
        self.added_tokens_decoder: dict[int, str] = {}
        self.backend_tokenizer = Tokenizer(WordLevel())

    def __len__(self) -> int:
        return len(self._tokens)

    def get_vocab(self) -> dict[str, int]:
        """Return numbers of tokens; of those that are spelled alike, the last one's."""
        return {token: number for number, token in enumerate(self._tokens)}

    def convert_ids_to_tokens(self, ids: list[int]) -> list[str]:
        """Return tokens."""
        return [self._tokens[token] for token in ids]
