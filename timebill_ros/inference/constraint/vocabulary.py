"""The model's tokens as the constraint's library reads them."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from llguidance import LLMatcher, LLParserLimits, LLTokenizer

from timebill_ros.core.constraint import InvalidConstraintError

_FUEL, _STEP_FUEL, _STATES = 100_000, 20_000, 20_000
_LIMITS = LLParserLimits(
    initial_lexer_fuel=_FUEL,
    step_lexer_fuel=_STEP_FUEL,
    max_lexer_states=_STATES,
    verbose_errors=False,
)
"""So small that a regular expression that explodes is an error after some tens of milliseconds."""
LIMITS = f'{_FUEL} steps at its start, {_STEP_FUEL} a token and {_STATES} states'
"""The same for a person."""


@dataclass(frozen=True)
class Vocabulary:
    """Makes matchers over the tokens of one model.

    Arguments:
        layout: the tokenizer as JSON, as the tokenizers library writes it.
        size: number of the model's logits.
        stop_token_ids: any of these ends an answer.
    """

    layout: str
    size: int
    stop_token_ids: frozenset[int]

    @classmethod
    def of(cls, tokenizer: Any, size: int, stop_token_ids: frozenset[int]) -> 'Vocabulary':
        """Return a model's vocabulary.

        Arguments:
            tokenizer: a fast one of transformers. A copy is taken.
        """
        return cls(tokenizer.backend_tokenizer.to_str(), size, stop_token_ids)

    @cached_property
    def tokens(self) -> LLTokenizer:
        """The tokens; it takes some 0.4 s to read them first.

        Raises:
            InvalidConstraintError: the library does not know this kind of tokenizer.
        """
        try:
            stop_ids = sorted(self.stop_token_ids)
            return LLTokenizer(self.layout, n_vocab=self.size, eos_token=stop_ids)
        except Exception as error:  # whatever its native part raises
            raise InvalidConstraintError(
                f'constraint: the tokenizer of this model cannot be constrained ({error})'
            ) from error

    @cached_property
    def _stop_id(self) -> int:
        return min(self.stop_token_ids)

    @cached_property
    def signs(self) -> dict[str, int]:
        """The printable characters that are tokens of their own."""
        found = {sign: self.tokens.tokenize_str(sign) for sign in map(chr, range(32, 127))}
        return {sign: ids[0] for sign, ids in found.items() if len(ids) == 1}

    def signs_after(self, matcher: LLMatcher) -> set[str]:
        """Return the printable characters that may come next. The matcher stays as it is."""
        mask = matcher.compute_bitmask()
        signs = self.signs.items()
        return {sign for sign, token_id in signs if mask[token_id >> 3] >> (token_id & 7) & 1}

    def matcher(self, grammar: str) -> LLMatcher:
        """Return a matcher; it may be in error."""
        return LLMatcher(self.tokens, grammar, log_level=0, limits=_LIMITS)

    def accepts(self, matcher: LLMatcher, text: str) -> bool:
        """Return whether a text is all that a matcher waits for. The matcher stays as it is."""
        return self.ends(matcher, self.tokens.tokenize_str(text))

    def ends(self, matcher: LLMatcher, tokens: list[int]) -> bool:
        """Return whether tokens are all that a matcher waits for. The matcher stays as it is."""
        if not tokens:
            return bool(matcher.is_accepting())
        # The stop token fits only where the matcher accepts.
        return matcher.validate_tokens([*tokens, self._stop_id]) == len(tokens) + 1
