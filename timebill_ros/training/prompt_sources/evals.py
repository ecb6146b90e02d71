"""evals: hundreds of small sets of questions, nearly all with a short answer."""

from collections.abc import Iterator
from itertools import islice
from random import Random
from typing import Any

from timebill_ros.training.archive import Archive

MOST_PER_SET = 15


def questions(archive: Archive, count: int, random: Random) -> Iterator[str]:
    """Yield at most 15 questions of each set."""
    for name in archive.names('evals/registry/data/', '.jsonl'):
        texts = filter(None, map(_text, archive.json_lines(name)))
        yield from islice(texts, MOST_PER_SET)


def _text(sample: Any) -> str:
    turns = sample.get('input') if isinstance(sample, dict) else None
    if isinstance(turns, str):
        return turns.strip()
    if not isinstance(turns, list) or not all(isinstance(turn, dict) for turn in turns):
        return ''
    if any(turn.get('role') not in ('system', 'user') for turn in turns):
        return ''
    return '\n\n'.join(str(turn.get('content', '')).strip() for turn in turns)
