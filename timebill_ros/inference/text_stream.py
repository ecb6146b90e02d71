"""From token ids to text while they come, never half a character."""

from tokenizers import Tokenizer
from tokenizers.decoders import DecodeStream


class TextStream:
    """Decodes one answer. The pieces joined are the text of all tokens, special tokens left out.

    Arguments:
        tokenizer: used by no other thread meanwhile.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._stream = DecodeStream(skip_special_tokens=True)
        self._ids: list[int] = []
        self._sent = ''

    def add(self, token_id: int) -> str:
        """Add a token; return the text that has become complete, often ''."""
        self._ids.append(token_id)
        piece = self._stream.step(self._tokenizer, token_id) or ''
        self._sent += piece
        return piece

    def end(self) -> str:
        """Return what is left at the end; bytes that never became a character are dropped."""
        text = self._tokenizer.decode(self._ids, skip_special_tokens=True).rstrip('\ufffd')
        return text[len(self._sent) :] if text.startswith(self._sent) else ''
