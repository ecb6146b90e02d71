"""A short text that completes what a matcher has seen, and invents nothing."""

from llguidance import LLMatcher

from timebill_ros.inference.constraint.vocabulary import Vocabulary

_LONGEST = 64


def short_end(vocabulary: Vocabulary, matcher: LLMatcher) -> str | None:
    """Return a text after which the matcher accepts; None: none is found.

    It is what the constraint leaves no choice for, with one sign of punctuation at most that is
    chosen, such as a quotation mark. No words follow such a sign: it may have decided which.

    Arguments:
        matcher: it stays as it is.
    """
    state = matcher.deep_copy()
    text = _forced(vocabulary, state)
    if state.is_accepting():
        return text
    signs = [sign for sign in vocabulary.signs_after(state) if not sign.isalnum()]
    for sign in sorted(signs, key=lambda sign: (sign != '.', sign)):
        following = state.deep_copy()
        if following.consume_token(vocabulary.signs[sign]):
            more = _forced(vocabulary, following)
            if following.is_accepting() and not any(letter.isalnum() for letter in more):
                return text + sign + more
    return None


def _forced(vocabulary: Vocabulary, state: LLMatcher) -> str:
    """Follow a constraint where only one text may follow, and return that text."""
    content = b''
    while not state.is_accepting() and len(content) < _LONGEST:
        forced = state.compute_ff_tokens()
        if not forced or not state.consume_tokens(forced):
            break
        content += vocabulary.tokens.decode_bytes(forced)
    return content.decode(errors='replace')  # half a character fits nothing: that is checked
