"""The tags between which a model thinks before it answers, and whether a model has them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

OPENING, CLOSING = '<think>', '</think>'


@dataclass(frozen=True)
class ThinkingTags:
    """How the answers of a model that thinks begin.

    Arguments:
        is_open: the chat template ends with an opening tag: the model begins in its thinking.
        hidden: tags by their token id that are special tokens, which decoding leaves out.
    """

    is_open: bool
    hidden: Mapping[int, str]


def thinking_tags(tokenizer: Any, after_question: str) -> ThinkingTags | None:
    """Return what a model's tokenizer and chat template tell; None: no tag is in either.

    Arguments:
        tokenizer: of transformers, with the chat template that is used.
        after_question: what the template puts between the question and the answer.
    """
    added = {
        token_id: token
        for token_id, token in tokenizer.added_tokens_decoder.items()
        if token.content in (OPENING, CLOSING)
    }
    template = str(tokenizer.chat_template)  # or several, by name
    if not added and OPENING not in template and CLOSING not in template:
        return None
    return ThinkingTags(
        is_open=after_question.rfind(OPENING) > after_question.rfind(CLOSING),
        hidden={token_id: token.content for token_id, token in added.items() if token.special},
    )
