"""Checks a question before it is sent."""

from timebill_ros.msg import Query

_LONGEST_BUDGET_S = 2**31 - 1
_POLICIES = (Query.DEFAULT, Query.KILL, Query.SKIP_NEXT, Query.PARTIAL)


def check_question(
    prompt: str, system_prompt: str, time_budget: float, max_new_tokens: int, overrun_policy: int
) -> None:
    """Check the arguments of a question.

    Raises:
        ValueError: an argument is outside its bounds; the sentence names it.
    """
    if not prompt.strip():
        raise ValueError(f'prompt must not be empty, got {prompt!r}')
    for name, text in (('prompt', prompt), ('system_prompt', system_prompt)):
        check_unicode(name, text)
    if not 0.0 < time_budget <= _LONGEST_BUDGET_S:
        raise ValueError(f'time_budget must be in (0, {_LONGEST_BUDGET_S}] s, got {time_budget}')
    if not 0 <= max_new_tokens < 2**32:
        raise ValueError(f'max_new_tokens must be in [0, {2**32 - 1}], got {max_new_tokens}')
    if overrun_policy not in _POLICIES:
        raise ValueError(f'overrun_policy must be one of {_POLICIES}, got {overrun_policy}')


def check_unicode(name: str, text: str) -> None:
    """Check that a text can be sent.

    Raises:
        ValueError: it holds half a character.
    """
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ValueError(
            f'{name} must be Unicode text, got {text[error.start]!r} at {error.start}'
        ) from None
