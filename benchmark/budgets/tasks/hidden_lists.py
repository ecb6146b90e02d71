"""Several values, or a marked list, in filler text; the question is for all of them.

Tasks and wording were chosen from sixteen variants. For each of them, four or five answers of the
built-in target were read, from other seeds.
"""

from collections.abc import Callable, Iterator
from functools import partial
from random import Random

from benchmark.budgets.tasks.scores import share_found
from benchmark.budgets.tasks.task import Make, Material, Question
from benchmark.eviction.needles import PLACES, filler_sentence, needle_prompt

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


def _inventory(random: Random) -> Hidden:
    tools = random.sample(_TOOLS, random.randint(8, 14))
    lines = [f'{random.randrange(2, 99)} {random.choice(_COLOURS)} {tool}' for tool in tools]
    listed = ''.join(f'- {line}\n' for line in lines)
    question = 'Copy the inventory above, word for word, one item a line.'
    return [f'\nINVENTORY\n{listed}END OF INVENTORY\n'], question, lines


def _staff(random: Random) -> Hidden:
    lines = [
        f'{name}: {random.choice(PLACES)}, badge {random.randrange(100, 1000)}'
        for name in random.sample(_NAMES, random.randint(8, 12))
    ]
    listed = ''.join(f'- {line}\n' for line in lines)
    question = 'Copy the staff list above, word for word, one person a line.'
    return [f'\nSTAFF\n{listed}END OF STAFF\n'], question, lines


def _made(
    hide: Callable[[Random], Hidden], material: Material, lengths: Iterator[int]
) -> Iterator[Question]:
    for tokens in lengths:
        parts, question, values = hide(material.random)
        prompt = _among_filler(parts, question, tokens, material)
        yield Question(prompt, partial(share_found, values))


def _among_filler(parts: list[str], question: str, tokens: int, material: Material) -> str:
    texts: list[str] = []
    length = material.count_tokens(''.join(parts) + question)
    while length < tokens:
        texts.append(filler_sentence(material.random))
        length += material.count_tokens(texts[-1])
    for part in parts:
        texts.insert(material.random.randrange(len(texts) + 1), part)
    return f'{"".join(texts)}\n{question}'


def single_needles(material: Material, lengths: Iterator[int]) -> Iterator[Question]:
    """Yield prompts that hide one value."""
    for tokens in lengths:
        needle = needle_prompt(material.random.getrandbits(32), tokens, material.count_tokens)
        yield Question(needle.prompt, needle.recall)


codes: Make = partial(_made, _codes)
"""Multi-value needles: 6 to 12 codes of eight digits."""
names: Make = partial(_made, _names)
"""Multi-value needles: 6 to 12 people who work in a place."""
inventory: Make = partial(_made, _inventory)
"""An inventory of 8 to 14 items, in one piece, to be copied."""
staff: Make = partial(_made, _staff)
"""A list of 8 to 12 people, in one piece, to be copied."""
