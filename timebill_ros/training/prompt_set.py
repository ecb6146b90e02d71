"""All prompts in their order. The first N prompts are a fair sample, for any N."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from random import Random

from timebill_ros.training.archive import Archive
from timebill_ros.training.prompt import Prompt, normalised_hash
from timebill_ros.training.prompt_sources import SOURCES, PromptSource

SHORTEST_CHARACTERS, LONGEST_CHARACTERS = 3, 24_000
MOST_FOREIGN = 0.1
"""Greatest share of non-ASCII characters: the built-in target knows only English."""


def prompt_set(
    archives: Mapping[str, Path], seed: int, sources: Iterable[PromptSource] = SOURCES
) -> list[Prompt]:
    """Return the prompts of all sources without duplicates; the seed determines them.

    Arguments:
        archives: file of each package, by its name.
        seed: of the selection and the order.
    """
    seen: set[str] = set()
    placed: list[tuple[float, str, Prompt]] = []
    for source in sources:
        with Archive(archives[source.package]) as archive:
            prompts = _chosen(source, archive, Random(f'{seed} {source.name}'), seen)
        # Each source is spread evenly over the whole, from its own random offset.
        start = Random(f'{seed} {source.name} start').random()
        placed += [
            ((number + start) / len(prompts), source.name, prompt)
            for number, prompt in enumerate(prompts)
        ]
    return [prompt for _, _, prompt in sorted(placed, key=lambda place: place[:2])]


def _chosen(
    source: PromptSource, archive: Archive, random: Random, seen: set[str]
) -> list[Prompt]:
    texts = list(source.load(archive, 2 * source.most, random))
    random.shuffle(texts)
    chosen: list[Prompt] = []
    for text in texts:
        if len(chosen) == source.most:
            break
        if _is_fit(text) and (digest := normalised_hash(text)) not in seen:
            seen.add(digest)
            chosen.append(Prompt(text, source.name, source.kind))
    return chosen


def _is_fit(text: str) -> bool:
    if not SHORTEST_CHARACTERS <= len(text) <= LONGEST_CHARACTERS:
        return False
    try:
        text.encode()
    except UnicodeEncodeError:  # half a surrogate pair, from a JSON escape
        return False
    return sum(not char.isascii() for char in text) <= MOST_FOREIGN * len(text)
