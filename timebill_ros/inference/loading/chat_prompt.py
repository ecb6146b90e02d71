"""From a question to token ids, by the model's chat template. Text stays text."""

import inspect
import json
import re
import secrets
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from tokenizers import Tokenizer

from timebill_ros.core.turn import HistoryError, Role, Turn, user_turn
from timebill_ros.inference.loading.chat_template import REMEDY
from timebill_ros.inference.loading.thinking_tags import ThinkingTags, thinking_tags

_FOR_TEMPLATES = ('tools', 'documents')
"""Arguments of apply_chat_template() that a template gets; others are the node's to set."""
_ROLES = {Role.USER: 'user', Role.ASSISTANT: 'assistant'}
_PROBES = ('A', '1')
"""Two prompts that begin differently."""
_Turns = list[tuple[str, str]]


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

    def token_ids(
        self,
        prompt: str,
        system_prompt: str = '',
        context: str = '',
        history: Sequence[Turn] = (),
    ) -> list[int]:
        """Return the ids of a question with the template around it, ready to be answered.

        Arguments:
            prompt: the user's turn.
            system_prompt: the system turn; empty: the template decides.
            context: before the prompt, in the same turn.
            history: the turns before it, oldest first.

        Raises:
            HistoryError: the template cannot hold the history; one sentence.
        """
        turns = self._turns(user_turn(prompt, context), system_prompt, history)
        if history:
            self._check_history(turns)
        if self._control is None or not any(self._control.search(text) for _, text in turns):
            return self._encode(self._apply(turns, self._in_parts))
        return self._encode_as_text(turns)

    def beginning_ids(self, system_prompt: str, context: str) -> list[int]:
        """Return the ids that every question with this system prompt and context begins with."""
        one, other = (self.token_ids(prompt, system_prompt, context) for prompt in _PROBES)
        length = next(
            (place for place, ids in enumerate(zip(one, other, strict=False)) if len({*ids}) > 1),
            min(len(one), len(other)),
        )
        return one[:length]

    def plain_ids(self, text: str) -> list[int]:
        """Return the ids of a text without the template; control tokens in it stay characters."""
        return list(self._plain.encode(text, add_special_tokens=False).ids)

    def control_token_in(self, text: str) -> str | None:
        """Return a control token that a text holds; None: it holds none."""
        found = self._control.search(text) if self._control is not None else None
        return None if found is None else found.group()

    def thinking_tags(self) -> ThinkingTags | None:
        """Return how answers begin with thinking; None: the model has no tags for it."""
        mark = secrets.token_hex(16)
        rendered = self._apply(self._turns(mark), self._in_parts)
        return thinking_tags(self._tokenizer, rendered.rpartition(mark)[2])

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
        marks = [(role, secrets.token_hex(16)) for role in roles]
        try:
            rendered = self._apply(marks, in_parts)
        except Exception:  # some templates refuse a system turn (Gemma)
            if 'system' in roles:
                return False
            raise
        return all(mark in rendered for _, mark in marks)

    def _check_history(self, turns: _Turns) -> None:
        marks = [(role, secrets.token_hex(16)) for role, _ in turns]
        try:
            rendered = self._apply(marks, self._in_parts)
        except Exception as error:  # some templates want turns in another order
            reason = str(error).strip() or type(error).__name__
            raise HistoryError(
                f"history cannot be used: the model's chat template fails ({reason})"
            ) from error
        if not all(mark in rendered for _, mark in marks):
            raise HistoryError(
                "history cannot be used: the model's chat template drops a turn of it"
            )

    def _turns(self, user: str, system_prompt: str = '', history: Sequence[Turn] = ()) -> _Turns:
        turns = [(_ROLES[turn.role], turn.text) for turn in history] + [('user', user)]
        if not system_prompt:
            return turns
        if self._has_system_turn:
            return [('system', system_prompt), *turns]
        first = next(place for place, (role, _) in enumerate(turns) if role == 'user')
        turns[first] = ('user', f'{system_prompt}\n\n{turns[first][1]}')
        return turns

    def _apply(self, turns: _Turns, in_parts: bool) -> str:
        messages = [
            {'role': role, 'content': [{'type': 'text', 'text': text}] if in_parts else text}
            for role, text in turns
        ]
        return str(
            self._tokenizer.apply_chat_template(
                messages, tokenize=False, add_generation_prompt=True, **self._arguments
            )
        )

    def _encode(self, text: str) -> list[int]:
        return list(self._tokenizer(text, add_special_tokens=False)['input_ids'])

    def _encode_as_text(self, turns: _Turns) -> list[int]:
        """Encode when the asker's text holds the characters of control tokens.

        The template is rendered around random marks that stand for the asker's text, cut at the
        template's own control tokens, and what lies between is tokenised by a tokenizer that knows
        none.
        """
        marks = [secrets.token_hex(16) for _ in turns]
        marked = [(role, mark) for (role, _), mark in zip(turns, marks, strict=True)]
        rendered = self._apply(marked, self._in_parts)
        ids: list[int] = []
        assert self._control is not None
        for part in self._control.split(rendered):
            if part in self._control_ids:
                ids.append(self._control_ids[part])
                continue
            for mark, (_, text) in zip(marks, turns, strict=True):
                part = part.replace(mark, text)
            ids.extend(self.plain_ids(part))
        return ids
