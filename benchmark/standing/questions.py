"""A standing context of so many tokens, and questions about it."""

import random
from collections.abc import Callable

_THINGS = ('box', 'crate', 'pallet', 'drill', 'lamp', 'cable', 'battery', 'gripper')
_COLOURS = ('red', 'blue', 'green', 'white', 'black', 'yellow')
_ROOMS = ('hall', 'kitchen', 'workshop', 'storage', 'office', 'dock', 'lab', 'corridor')
_QUESTIONS = (
    'Where is the {thing}? Answer with the room.',
    'Name what lies in the {room}.',
    'How would you get from the {room} to the dock?',
    'Is the {thing} in the {room}? Answer in one sentence.',
)


def context_of(tokens: int, count: Callable[[str], int], seed: int) -> str:
    """Return a log of what a robot saw, of at least so many tokens, by a line at most more.

    Arguments:
        count: returns how many tokens a text has.
    """
    draw, lines = random.Random(seed), ['What the robot saw today:']
    while count('\n'.join(lines)) < tokens:
        lines.append(
            f'{len(lines)}. The {draw.choice(_COLOURS)} {draw.choice(_THINGS)} was in the '
            f'{draw.choice(_ROOMS)} at {draw.randrange(24)}:{draw.randrange(60):02}.'
        )
    return '\n'.join(lines)


def questions(number: int, seed: int) -> list[str]:
    """Return questions about it; no two are alike."""
    draw, found = random.Random(seed), dict[str, None]()
    while len(found) < number:
        thing = f'{draw.choice(_COLOURS)} {draw.choice(_THINGS)}'
        found[draw.choice(_QUESTIONS).format(thing=thing, room=draw.choice(_ROOMS))] = None
    return list(found)
