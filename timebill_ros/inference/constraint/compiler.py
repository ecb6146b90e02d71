"""From the constraint that an asker sends to what guides its answer."""

import dataclasses
import threading
from collections import OrderedDict
from collections.abc import Callable

from timebill_ros.core.constraint import Constraint, ConstraintKind, InvalidConstraintError
from timebill_ros.inference.constraint.choices import MOST_CHOICES, Choices
from timebill_ros.inference.constraint.grammar import Grammar, json_grammar, regex_grammar
from timebill_ros.inference.constraint.vocabulary import Vocabulary

MOST_BYTES = 1 << 16
"""Of a constraint's text, or of all choices together."""
_KEPT = 64

Form = Grammar | Choices


class ConstraintCompiler:
    """Compiles constraints for one model, and keeps the last ones.

    Arguments:
        vocabulary: of the model.
        token_ids: makes token ids of a text, without a template.
        control_token: returns a control token that a text holds; None: it holds none.
        context_length: of the model; it bounds the prompt with the answer [tokens].
    """

    def __init__(
        self,
        vocabulary: Vocabulary,
        token_ids: Callable[[str], list[int]],
        control_token: Callable[[str], str | None],
        context_length: int,
    ) -> None:
        self._vocabulary = vocabulary
        self._token_ids = token_ids
        self._control_token = control_token
        self._context_length = context_length
        self._kept: OrderedDict[Constraint, Form] = OrderedDict()

    def warm_up(self) -> None:
        """Read the vocabulary on a thread of its own, so that no constraint waits for it."""
        threading.Thread(target=lambda: self._vocabulary.tokens, daemon=True).start()

    def compiled(self, constraint: Constraint, prompt_tokens: int) -> Form:
        """Return a constraint, compiled.

        Arguments:
            prompt_tokens: of its query; if there is no room for any answer, nothing is said here.

        Raises:
            InvalidConstraintError: it cannot be used; one sentence.
        """
        key = dataclasses.replace(constraint, fill_missing=False)
        form = self._kept.get(key)
        if form is None:
            form = self._kept[key] = self._compile(constraint)
            if len(self._kept) > _KEPT:
                self._kept.popitem(last=False)
        self._kept.move_to_end(key)
        if isinstance(form, Choices):
            self._check_room(form, prompt_tokens)
        return form

    def _check_room(self, choices: Choices, prompt_tokens: int) -> None:
        room = self._context_length - prompt_tokens
        if 0 < room < choices.longest:
            index = max(range(len(choices.ids)), key=lambda index: len(choices.ids[index]))
            raise InvalidConstraintError(
                f'choices[{index}] must have at most {room} tokens with the end of the answer, '
                f'which is what a prompt of {prompt_tokens} tokens leaves of the context of '
                f'{self._context_length}, got {choices.longest}'
            )

    def _compile(self, constraint: Constraint) -> Form:
        is_choice = constraint.kind is ConstraintKind.CHOICES
        field = 'choices' if is_choice else 'constraint'
        texts = constraint.choices[: MOST_CHOICES + 1] if is_choice else (constraint.text,)
        nbytes = sum(len(text.encode('utf-8', 'surrogatepass')) for text in texts)
        if nbytes > MOST_BYTES:
            raise InvalidConstraintError(
                f'{field} must have at most {MOST_BYTES} bytes, got {nbytes}'
            )
        if constraint.kind is ConstraintKind.JSON_SCHEMA:
            return json_grammar(self._vocabulary, constraint.text)
        if constraint.kind is ConstraintKind.REGEX:
            return regex_grammar(self._vocabulary, constraint.text)
        for index, text in enumerate(texts):
            if (control := self._control_token(text)) is not None:
                raise InvalidConstraintError(
                    f"choices[{index}] must not hold the model's control token {control!r}, "
                    f'got {text!r}'
                )
        return Choices(constraint.choices, self._token_ids)
