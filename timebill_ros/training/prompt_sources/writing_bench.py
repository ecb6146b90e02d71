"""inspect-evals: WritingBench, a thousand requests to write something, some with long material."""

from collections.abc import Iterator
from random import Random

from timebill_ros.training.archive import Archive

LONG_CHARACTERS = 3000


def requests(archive: Archive, count: int, random: Random) -> Iterator[str]:
    """Yield the short requests."""
    return (text for text in _all(archive) if len(text) < LONG_CHARACTERS)


def long_requests(archive: Archive, count: int, random: Random) -> Iterator[str]:
    """Yield the requests with long material."""
    return (text for text in _all(archive) if len(text) >= LONG_CHARACTERS)


def _all(archive: Archive) -> Iterator[str]:
    for row in archive.json_lines('inspect_evals/writingbench/benchmark_all.jsonl'):
        yield row['query'].strip()
