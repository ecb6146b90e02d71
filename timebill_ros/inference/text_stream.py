"""Decodes token ids to text as they arrive, in whole characters."""

from tokenizers import Tokenizer
from tokenizers.decoders import DecodeStream


class TextStream:
    """Decodes one answer. All pieces joined are the text, without special tokens.

    Arguments:
        tokenizer: no other thread may use it meanwhile.

    `thinking_tokens` is how many of the tokens so far are thinking, and so not in the text.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._stream = DecodeStream(skip_special_tokens=True)
        self._ids: list[int] = []
        self._sent = ''
        self.thinking_tokens = 0

    def add(self, token_id: int) -> str:
        """Add a token; return the characters that it completes, often ''."""
        self._ids.append(token_id)
        piece = self._stream.step(self._tokenizer, token_id) or ''
        self._sent += piece
        return piece

    @property
    def is_thinking(self) -> bool:
        """Whether the answer has not begun: the model thinks, or may begin to."""
        return False

    def goes_on_thinking(self, token_id: int) -> bool:
        """Return whether a token that may come next belongs to the thinking."""
        return False

    def end(self) -> str:
        """Return the rest of the text; incomplete characters are dropped."""
        text = self._tokenizer.decode(self._ids, skip_special_tokens=True).rstrip('\ufffd')
        return text[len(self._sent) :] if text.startswith(self._sent) else ''
