"""The questions under load: short, and always the same text."""

import random
from dataclasses import dataclass

_TASKS = (
    ('Say in a few words what to do next.', 8),
    ('Is it safe to go on? Answer and give one reason.', 16),
    ('Name the next action and its target.', 12),
    ('List the next three actions.', 32),
    ('Write a short plan, step by step.', 48),
    ('Tell the operator what has happened.', 40),
)
_EVENTS = (
    'The gripper is closed.',
    'A person stands in the doorway.',
    'Battery at 12 percent, the dock is 40 metres away.',
    'The cup is on the table, left of the plate.',
    'The door to the kitchen is locked.',
    'A pallet blocks aisle 4.',
    'The last scan of the shelf failed.',
    'The lift is out of order.',
    'Two boxes are waiting at the ramp.',
    'The floor is wet near the entrance.',
)
_LENGTHS = (1, 4, 8, 14)
"""Events before the task: prompts of some 40 to 200 tokens, the chat template included."""


@dataclass(frozen=True)
class AskedQuestion:
    """A prompt and the longest answer to it [tokens]."""

    prompt: str
    max_new_tokens: int


def load_questions(seed: int) -> list[AskedQuestion]:
    """Return the questions: every task after each number of events."""
    draw = random.Random(seed)
    return [
        AskedQuestion(' '.join([*draw.choices(_EVENTS, k=length), task]), max_new_tokens)
        for length in _LENGTHS
        for task, max_new_tokens in _TASKS
    ]
