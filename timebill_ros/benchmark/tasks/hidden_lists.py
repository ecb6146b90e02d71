"""Several values hidden in filler, or a list marked in it, all of which are asked for.

The wording was chosen by looking at four answers of the built-in target to each of nine tasks,
from seeds of their own.
"""

from collections.abc import Callable, Iterator
from functools import partial
from random import Random

from timebill_ros.benchmark.needles import PLACES, filler_sentence, needle_prompt
from timebill_ros.benchmark.tasks.scores import share_found
from timebill_ros.benchmark.tasks.task import Make, Material, Score

_NAMES = (
    *('Anna', 'Boris', 'Clara', 'David', 'Elena', 'Frank', 'Greta', 'Hugo', 'Irene', 'Jakob'),
    *('Karin', 'Lukas', 'Maria', 'Nils', 'Olga', 'Peter', 'Rosa', 'Simon', 'Tanja', 'Viktor'),
    *('Agnes', 'Bruno', 'Cecilia', 'Dennis', 'Emma', 'Felix', 'Gloria', 'Henry', 'Ivan', 'Julia'),
    *('Kevin', 'Laura', 'Marco', 'Nadia', 'Oscar', 'Paula', 'Robert', 'Sarah', 'Thomas', 'Ursula'),
    *(
        'Adam',
        'Beatrice',
        'Carlos',
        'Diana',
        'Edward',
        'Fiona',
        'George',
        'Helen',
        'Isaac',
        'Jane',
    ),
    *('Kurt', 'Linda', 'Martin', 'Nora', 'Oliver', 'Patricia', 'Ruben', 'Sofia', 'Tobias', 'Vera'),
)
_TOOLS = (
    *('hammer', 'wrench', 'pliers', 'chisel', 'sander', 'drill', 'saw', 'clamp', 'file', 'vise'),
    *('crowbar', 'mallet', 'spanner', 'ruler', 'caliper', 'torch', 'grinder', 'rivet', 'bolt'),
)
_COLOURS = ('red', 'blue', 'green', 'yellow', 'grey', 'orange', 'white', 'black')
Hidden = tuple[list[str], str, list[str]]
"""What is put into the filler, the question, and the values that a right answer has."""


def _codes(random: Random) -> Hidden:
    place, count = random.choice(PLACES), random.randint(6, 12)
    codes = [str(random.randrange(10**7, 10**8)) for _ in range(count)]
    question = f'List all {count} access codes of the {place}, separated by commas.'
    return [f'An access code of the {place} is {code}. ' for code in codes], question, codes


def _names(random: Random) -> Hidden:
    place, count = random.choice(PLACES), random.randint(6, 12)
    names = random.sample(_NAMES, count)
    question = f'Name all {count} people who work in the {place}, with what is said of each.'
    return [f'{name} works in the {place}. ' for name in names], question, names


def _waypoints(random: Random) -> Hidden:
    def metres() -> float:
        return random.randrange(100) / 10

    lines = [
        f'Waypoint {number}: x = {metres()}, y = {metres()}'
        for number in range(1, random.randint(6, 10) + 1)
    ]
    question = 'Write down all waypoints of the route above, one a line.'
    return ['\n' + '\n'.join(lines) + '\n'], question, lines


def _inventory(random: Random) -> Hidden:
    tools = random.sample(_TOOLS, random.randint(8, 14))
    lines = [f'{random.randrange(2, 99)} {random.choice(_COLOURS)} {tool}' for tool in tools]
    listed = ''.join(f'- {line}\n' for line in lines)
    question = 'Copy the inventory above, word for word, one item a line.'
    return [f'\nINVENTORY\n{listed}END OF INVENTORY\n'], question, lines


def _made(
    hide: Callable[[Random], Hidden], material: Material, lengths: Iterator[int]
) -> Iterator[tuple[str, Score]]:
    for tokens in lengths:
        parts, question, values = hide(material.random)
        yield _among_filler(parts, question, tokens, material), partial(share_found, values)


def _among_filler(parts: list[str], question: str, tokens: int, material: Material) -> str:
    texts: list[str] = []
    length = material.count_tokens(''.join(parts) + question)
    while length < tokens:
        texts.append(filler_sentence(material.random))
        length += material.count_tokens(texts[-1])
    for part in parts:
        texts.insert(material.random.randrange(len(texts) + 1), part)
    return f'{"".join(texts)}\n{question}'


def single_needles(material: Material, lengths: Iterator[int]) -> Iterator[tuple[str, Score]]:
    """Yield prompts that hide one value."""
    for tokens in lengths:
        needle = needle_prompt(material.random.getrandbits(32), tokens, material.count_tokens)
        yield needle.prompt, needle.recall


codes: Make = partial(_made, _codes)
"""Multi-value needles: 6 to 12 codes of eight digits."""
names: Make = partial(_made, _names)
"""Multi-value needles: 6 to 12 people who work in a place."""
waypoints: Make = partial(_made, _waypoints)
"""A route of 6 to 10 waypoints, in one piece, to be copied."""
inventory: Make = partial(_made, _inventory)
"""An inventory of 8 to 14 items, in one piece, to be copied."""
