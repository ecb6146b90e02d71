"""Tells a model's thinking apart from its answer, while both come."""

from enum import Enum, auto

from tokenizers import Tokenizer

from timebill_ros.inference.loading.thinking_tags import CLOSING, OPENING, ThinkingTags
from timebill_ros.inference.text_stream import TextStream


class _Phase(Enum):
    BEGINNING = auto()  # white space, or what may become the opening tag
    THINKING = auto()
    THOUGHT = auto()  # white space after the closing tag
    ANSWERING = auto()


class ThinkingStream(TextStream):
    """A TextStream of an answer that may begin with thinking, which is not in the text.

    Tags may be tokens of their own, or be split over several. Only the beginning of an answer is
    thinking; a tag further on is text. White space after the closing tag is dropped.

    Arguments:
        tokenizer: no other thread may use it meanwhile.
        tags: of the model.
    """

    def __init__(self, tokenizer: Tokenizer, tags: ThinkingTags) -> None:
        super().__init__(tokenizer)
        self._hidden = tags.hidden
        self._phase = _Phase.THINKING if tags.is_open else _Phase.BEGINNING
        self._held = ''
        self._tokens = 0

    def add(self, token_id: int) -> str:
        """Add a token; return the answer's text that is now complete, often ''."""
        piece = super().add(token_id)
        if self._phase is _Phase.ANSWERING:
            return piece
        self._tokens += 1
        return self._told_apart(piece + self._hidden.get(token_id, ''))

    @property
    def is_thinking(self) -> bool:
        """Whether the answer has not begun: the model thinks, or may begin to."""
        return self._phase in (_Phase.BEGINNING, _Phase.THINKING)

    def goes_on_thinking(self, token_id: int) -> bool:
        """Return whether a token that may come next belongs to the thinking."""
        if self._phase is not _Phase.BEGINNING:
            return self._phase is _Phase.THINKING
        piece = self._tokenizer.decode([token_id], skip_special_tokens=True)
        beginning = (self._held + piece + self._hidden.get(token_id, '')).lstrip()
        return beginning.startswith(OPENING) or OPENING.startswith(beginning)

    def end(self) -> str:
        """Return the rest of the text; incomplete characters are dropped."""
        rest = super().end()
        if self._phase is _Phase.ANSWERING:
            return rest
        rest = self._told_apart(rest)
        return self._held if self._phase is _Phase.BEGINNING else rest

    def _told_apart(self, piece: str) -> str:
        self._held += piece
        if self._phase is _Phase.BEGINNING:
            beginning = self._held.lstrip()
            if beginning.startswith(OPENING):
                self._phase, self._held = _Phase.THINKING, beginning.removeprefix(OPENING)
            elif not OPENING.startswith(beginning):
                self._phase = _Phase.ANSWERING
        if self._phase is _Phase.THINKING:
            self.thinking_tokens = self._tokens
            thinking, tag, after = self._held.partition(CLOSING)
            if tag:
                self._phase, self._held = _Phase.THOUGHT, after
            else:
                self._held = thinking[1 - len(CLOSING) :]  # may hold a part of the tag
        if self._phase is _Phase.THOUGHT:
            self._held = self._held.lstrip()
            if self._held:
                self._phase = _Phase.ANSWERING
        return self._held if self._phase is _Phase.ANSWERING else ''


def answer_stream(tokenizer: Tokenizer, tags: ThinkingTags | None) -> TextStream:
    """Return a stream for one answer of a model.

    Arguments:
        tokenizer: no other thread may use it meanwhile.
        tags: of the model; None: it does not think.
    """
    return TextStream(tokenizer) if tags is None else ThinkingStream(tokenizer, tags)
