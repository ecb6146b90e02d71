"""From a question to token ids, by the model's chat template. Text stays text."""

import inspect
import json
import re
import secrets
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from tokenizers import Tokenizer

from timebill_ros.inference.loading.chat_template import REMEDY
from timebill_ros.inference.loading.thinking_tags import ThinkingTags, thinking_tags

_FOR_TEMPLATES = ('tools', 'documents')
"""Arguments of apply_chat_template() that a template gets; others are the node's to set."""


class ChatPrompt:
    """Tokenises questions for one model.

    The characters of a control token (<|im_start|> and the like) inside a question are tokenised
    as the characters they are: they cannot open a turn.

    Arguments:
        tokenizer: a fast transformers tokenizer with a chat template, used by no other thread
            meanwhile.
        arguments: of the template, by name.
        template: what the template is called in a sentence.

    Raises:
        ValueError: the template drops the question, or fails; or an argument is not the
            template's; one sentence.
    """

    def __init__(
        self,
        tokenizer: Any,
        arguments: Mapping[str, Any] = MappingProxyType({}),
        template: str = "the model's chat template",
    ) -> None:
        self._tokenizer = tokenizer
        self._arguments = dict(arguments)
        self._check_arguments()
        self._control_ids = {
            token.content: token_id for token_id, token in tokenizer.added_tokens_decoder.items()
        }
        alternatives = sorted(map(re.escape, self._control_ids), key=len, reverse=True)
        self._control = re.compile('(' + '|'.join(alternatives) + ')') if alternatives else None
        layout = json.loads(tokenizer.backend_tokenizer.to_str())
        self._plain = Tokenizer.from_str(
            json.dumps({**layout, 'added_tokens': [], 'post_processor': None, 'truncation': None})
        )
        self._in_parts = self._wants_parts(template)
        self._has_system_turn = self._holds(('system', 'user'), self._in_parts)

    def token_ids(self, prompt: str, system_prompt: str = '') -> list[int]:
        """Return the ids of a question with the template around it, ready to be answered.

        Arguments:
            prompt: the user's turn.
            system_prompt: the system turn; empty: the template decides.
        """
        texts = [prompt, system_prompt]
        if self._control is None or not any(self._control.search(text) for text in texts):
            return self._encode(self._render(prompt, system_prompt))
        return self._encode_as_text(texts)

    def thinking_tags(self) -> ThinkingTags | None:
        """Return how answers begin with thinking; None: the model has no tags for it."""
        mark = secrets.token_hex(16)
        return thinking_tags(self._tokenizer, self._render(mark, '').rpartition(mark)[2])

    def _check_arguments(self) -> None:
        ours = {'messages', *inspect.signature(self._tokenizer.apply_chat_template).parameters}
        for name in self._arguments:
            if name in ours.difference(_FOR_TEMPLATES):
                raise ValueError(
                    f'chat_template_arguments must not hold {name!r}: the node sets it itself'
                )

    def _wants_parts(self, template: str) -> bool:
        """Whether the template reads a turn's content as a list of parts, not as a text."""
        problem = ''
        for in_parts in (False, True):
            try:
                if self._holds(('user',), in_parts):
                    return in_parts
            except Exception as error:  # templates are programs: they fail in any way
                problem = problem or f'it fails ({str(error).strip() or type(error).__name__})'
        raise ValueError(
            f'{template} cannot be used: {problem or "it drops the prompt"}; {REMEDY} that holds '
            'the prompt'
        )

    def _holds(self, roles: tuple[str, ...], in_parts: bool) -> bool:
        """Whether a rendered prompt holds the text of each of these turns."""
        marks = {role: secrets.token_hex(16) for role in roles}
        try:
            rendered = self._apply(marks, in_parts)
        except Exception:  # some templates refuse a system turn (Gemma)
            if 'system' in roles:
                return False
            raise
        return all(mark in rendered for mark in marks.values())

    def _render(self, prompt: str, system_prompt: str) -> str:
        if not system_prompt:
            turns = {'user': prompt}
        elif self._has_system_turn:
            turns = {'system': system_prompt, 'user': prompt}
        else:
            turns = {'user': f'{system_prompt}\n\n{prompt}'}
        return self._apply(turns, self._in_parts)

    def _apply(self, turns: dict[str, str], in_parts: bool) -> str:
        messages = [
            {'role': role, 'content': [{'type': 'text', 'text': text}] if in_parts else text}
            for role, text in turns.items()
        ]
        return str(
            self._tokenizer.apply_chat_template(
                messages, tokenize=False, add_generation_prompt=True, **self._arguments
            )
        )

    def _encode(self, text: str) -> list[int]:
        return list(self._tokenizer(text, add_special_tokens=False)['input_ids'])

    def _encode_as_text(self, texts: list[str]) -> list[int]:
        """Encode when the asker's text holds the characters of control tokens.

        The template is rendered around random marks that stand for the asker's text, cut at the
        template's own control tokens, and what lies between is tokenised by a tokenizer that knows
        none.
        """
        marks = [secrets.token_hex(16) for _ in texts]
        rendered = self._render(marks[0], marks[1] if texts[1] else '')
        ids: list[int] = []
        assert self._control is not None
        for part in self._control.split(rendered):
            if part in self._control_ids:
                ids.append(self._control_ids[part])
                continue
            for mark, text in zip(marks, texts, strict=True):
                part = part.replace(mark, text)
            ids.extend(self._plain.encode(part, add_special_tokens=False).ids)
        return ids
