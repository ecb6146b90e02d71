"""Prompts with one or several hidden values in filler text, drawn from a seed.

The question is at the end, so that the last tokens of the prompt attend to its subject.
"""

import random
import re
from collections.abc import Callable
from dataclasses import dataclass

PLACES = (
    *('kitchen', 'workshop', 'lobby', 'loading dock', 'storage room', 'charging station'),
    *('corridor', 'laboratory', 'garage', 'office', 'assembly line', 'cold store'),
)
_THINGS = (
    *('pallet', 'trolley', 'crate', 'toolbox', 'conveyor', 'ladder', 'gripper', 'battery'),
    *('sensor', 'cable drum', 'workbench', 'forklift', 'bin', 'scanner', 'pump', 'valve'),
)
_COLOURS = ('red', 'blue', 'green', 'yellow', 'grey', 'orange', 'white', 'black')
_SENTENCES = (
    'The {colour} {thing} in the {place} was checked in the morning and found in order. ',
    'A {thing} was moved from the {place} to the {other} because the aisle had to be kept free. ',
    'Between the {place} and the {other} the floor is smooth and the robot may drive at speed. ',
    'Nobody has used the {colour} {thing} since the {place} was rebuilt. ',
    'The {place} holds a {colour} {thing} and a {colour2} {thing2}, both ready for use. ',
    'When the {thing} in the {place} hums, the {other} has to wait for its turn. ',
)


@dataclass(frozen=True)
class NeedlePrompt:
    """A prompt, and the values that a right answer has in it."""

    prompt: str
    values: tuple[str, ...]

    def recall(self, answer: str) -> float:
        """Return the share of the values that stand in an answer, as whole numbers."""
        numbers = set(re.findall(r'\d+', answer))
        return sum(value in numbers for value in self.values) / len(self.values)


def needle_prompt(
    seed: int, tokens: int, count_tokens: Callable[[str], int], values: int = 1
) -> NeedlePrompt:
    """Return a prompt of about a number of tokens.

    Arguments:
        seed: of filler, values and places; another seed is another prompt.
        tokens: length aimed at.
        count_tokens: counts the tokens of a text.
        values: how many five-digit values are hidden and asked for.
    """
    chance = random.Random(f'{seed} {values}')
    place = chance.choice(PLACES)
    codes = tuple(str(chance.randrange(10000, 100000)) for _ in range(values))
    hidden = [f'An access code of the {place} is {code}. ' for code in codes]
    question = (
        f'\nWhat is the access code of the {place}? Answer with the number.'
        if values == 1
        else f'\nList all {values} access codes of the {place}, separated by commas.'
    )
    filler: list[str] = []
    length = count_tokens(''.join(hidden) + question)
    while length < tokens:
        filler.append(filler_sentence(chance))
        length += count_tokens(filler[-1])
    for needle in hidden:
        filler.insert(chance.randrange(len(filler) + 1), needle)
    return NeedlePrompt(''.join(filler) + question, codes)


def filler_sentence(chance: random.Random) -> str:
    """Return a sentence about nothing that is asked for."""
    place, other = chance.sample(PLACES, 2)
    thing, thing2 = chance.sample(_THINGS, 2)
    colour, colour2 = chance.sample(_COLOURS, 2)
    return chance.choice(_SENTENCES).format(
        place=place, other=other, thing=thing, thing2=thing2, colour=colour, colour2=colour2
    )
