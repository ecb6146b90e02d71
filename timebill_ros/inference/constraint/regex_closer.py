"""Keeps the newest closing of a text for a regular expression."""

import re

from llguidance import LLMatcher

from timebill_ros.core.constraint import Closing
from timebill_ros.inference.constraint.closing_check import ClosingCheck
from timebill_ros.inference.constraint.short_end import short_end
from timebill_ros.inference.constraint.vocabulary import Vocabulary

_WORD_OR_NUMBER = re.compile(r'[-+]?\w+(?:[.,]\d+)*$|[-+]?(?:\d+[.,])+$|[-+]$')
_SEARCH_PERIOD = 16


class RegexCloser:
    """Closes after the last whole word or number, by what invents neither.

    Arguments:
        vocabulary: of the model.
    """

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._vocabulary = vocabulary
        self.closing: Closing | None = None
        self._cut = -1
        self._wait = 0
        self._patience = 1

    def update(self, text: str, matcher: LLMatcher, check: ClosingCheck) -> None:
        """See Closer."""
        self._wait -= 1
        whole = self._whole(text, matcher)
        if len(whole) == self._cut:
            return
        self._cut = len(whole)
        stays, usual = (self.closing.safe_length, self.closing.text) if self.closing else (0, '')
        cuts = sorted({len(whole), len(whole.rstrip(' ')), len(whole.rstrip(' ,;'))})
        cuts = [cut for cut in cuts if cut >= stays]  # what could be closed may be published
        if whole == text:  # else what is before the word that is left out goes, too
            cuts.reverse()
        ends = dict.fromkeys(('', usual))  # in this order
        found = next(((cut, end) for cut in cuts for end in ends if check.ends(cut, end)), None)
        if found is None and self._wait <= 0:
            found = self._searched(cuts, check)
        if found is not None:
            self.closing = Closing(*found)

    def _searched(self, cuts: list[int], check: ClosingCheck) -> tuple[int, str] | None:
        """Search for an end, after each failure less often."""
        for cut in cuts:
            matcher = check.at(cut)
            end = None if matcher is None else short_end(self._vocabulary, matcher)
            if end is not None and check.ends(cut, end):
                self._patience = 1
                return cut, end
        self._wait = self._patience
        self._patience = min(2 * self._patience, _SEARCH_PERIOD)
        return None

    def _whole(self, text: str, matcher: LLMatcher) -> str:
        """Return the text without a word or number at its end that may go on."""
        last = _WORD_OR_NUMBER.search(text)
        if last is None or not self._may_go_on(last[0], matcher):
            return text
        return text[: last.start()]

    def _may_go_on(self, last: str, matcher: LLMatcher) -> bool:
        allowed = self._vocabulary.signs_after(matcher)
        if last[-1].isalnum() and any(sign.isalnum() for sign in allowed):
            return True
        if not last[-1].isdigit():
            return any(sign.isdigit() for sign in allowed)
        return any(self._may_be_in_number(sign, matcher) for sign in allowed & {'.', ','})

    def _may_be_in_number(self, sign: str, matcher: LLMatcher) -> bool:
        following = matcher.deep_copy()
        if not following.consume_token(self._vocabulary.signs[sign]):
            return False
        return any(digit.isdigit() for digit in self._vocabulary.signs_after(following))
