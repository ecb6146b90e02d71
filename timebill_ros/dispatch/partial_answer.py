"""What an answer that was cut off is good for: its whole words, or what a closing makes of it."""

from timebill_ros.core.outcome import NOT_KNOWN, Answer, Confidence, FinishReason
from timebill_ros.dispatch.pending_query import PendingQuery

_NAMED = 5
"""So many missing values are named."""


def partial_answer(entry: PendingQuery) -> Answer | None:
    """Return the answer up to where it was cut off by time; None: there is none."""
    if entry.query.constraint is not None:
        return closed_answer(entry, FinishReason.CLOSED)
    words = entry.text.whole_words
    if not words:
        return None
    return Answer(words, FinishReason.DEADLINE, confidence=entry.confidence)


def closed_answer(entry: PendingQuery, finish_reason: FinishReason) -> Answer | None:
    """Return the answer of a form, closed to a whole document; None: it cannot be.

    Arguments:
        entry: its query has a constraint.
        finish_reason: why it has to be closed.
    """
    closing, confidence = entry.text.closing, entry.confidence
    if closing is None or why_not_closed(entry):
        return None
    if confidence == NOT_KNOWN:  # the backend has not ended it
        confidence = Confidence(mean_token_probability=closing.mean_token_probability)
    return Answer(
        entry.text.settled + closing.text,
        finish_reason,
        closing=closing.text,
        filled=closing.filled,
        confidence=confidence,
    )


def why_not_closed(entry: PendingQuery) -> str:
    """Return why the answer cannot be closed; '': it can be, or it has no form."""
    constraint, closing = entry.query.constraint, entry.text.closing
    if constraint is None:
        return ''
    if closing is None:
        return 'nothing closes it to an answer that the constraint allows'
    if not closing.invented or constraint.fill_missing:
        return ''
    named = ', '.join(repr(pointer) for pointer in closing.invented[:_NAMED])
    more = len(closing.invented) - _NAMED
    return f'fill_missing is false, and required values without a default are missing: {named}' + (
        f' and {more} more' if more > 0 else ''
    )
