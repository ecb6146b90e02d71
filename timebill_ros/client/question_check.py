"""Checks a question before it is sent."""

from collections.abc import Sequence

from timebill_ros.msg import Query, Turn

_LONGEST_BUDGET_S = 2**31 - 1
_POLICIES = {
    'overrun_policy': (Query.DEFAULT, Query.KILL, Query.SKIP_NEXT, Query.PARTIAL),
    'remote_policy': (Query.DEFAULT, Query.OFF, Query.PREFER, Query.RACE, Query.ONLY),
}
_ROLES = {'user': Turn.USER, 'assistant': Turn.ASSISTANT}


def check_question(
    prompt: str, system_prompt: str, context: str, time_budget: float, max_new_tokens: int
) -> None:
    """Check the arguments of a question.

    Raises:
        ValueError: an argument is outside its bounds; the sentence names it.
    """
    if not prompt.strip():
        raise ValueError(f'prompt must not be empty, got {prompt!r}')
    texts = {'prompt': prompt, 'system_prompt': system_prompt, 'context': context}
    for name, text in texts.items():
        check_unicode(name, text)
    if not 0.0 < time_budget <= _LONGEST_BUDGET_S:
        raise ValueError(f'time_budget must be in (0, {_LONGEST_BUDGET_S}] s, got {time_budget}')
    if not 0 <= max_new_tokens < 2**32:
        raise ValueError(f'max_new_tokens must be in [0, {2**32 - 1}], got {max_new_tokens}')


def check_policies(overrun_policy: int, remote_policy: int) -> None:
    """Check the policies of a question.

    Raises:
        ValueError: one is no constant of the message Query; the sentence names it.
    """
    for name, policy in (('overrun_policy', overrun_policy), ('remote_policy', remote_policy)):
        if policy not in _POLICIES[name]:
            raise ValueError(f'{name} must be one of {_POLICIES[name]}, got {policy}')


def turns_of(history: Sequence[tuple[str, str]]) -> list[Turn]:
    """Return a history as messages.

    Raises:
        ValueError: a turn is not ('user', text) or ('assistant', text); the sentence names it.
    """
    turns = []
    for place, turn in enumerate(history):
        role, text = turn if len(turn) == 2 else ('', '')
        if role not in _ROLES:
            raise ValueError(
                f"history[{place}] must be ('user', text) or ('assistant', text), got {turn!r}"
            )
        check_unicode(f'history[{place}]', text)
        turns.append(Turn(role=_ROLES[role], text=text))
    return turns


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
