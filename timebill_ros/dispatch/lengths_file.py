"""What was learned of lengths of answers, on the disk: counts, no texts, of names only hashes."""

import json
import re
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np

from timebill_ros.core.atomic_file import write_json
from timebill_ros.core.constraint import ConstraintKind
from timebill_ros.core.length_cells import CELLS, Array, LengthCounts
from timebill_ros.core.length_correction import PARTS
from timebill_ros.dispatch.length_memory import HABITS, MEMORY_OF_ALL, Learned, LengthMemory

FORMAT = 1
"""Raised when the meaning of what is kept changes: older files then count as absent."""
MOST_BYTES = 1_000_000
_DIGITS = 4
_MOST = MEMORY_OF_ALL + 1.0
"""Counts fade: none becomes larger."""
_KEY = re.compile(r'[0-9a-f]{20}')


def save(path: Path, memory: LengthMemory) -> None:
    """Write a file. A reader sees the old file or the new, never a part.

    Arguments:
        path: its folder is made if absent.

    Raises:
        OSError: the folder cannot be made or written.
    """
    content = {
        'format': FORMAT,
        'of_all': {kind.name: _written(learned) for kind, learned in memory.of_all.items()},
        'corrections': {
            kind.name: _written_counts(counts) for kind, counts in memory.corrections.items()
        },
        'of_habit': {key: _written(learned) for key, learned in memory.of_habit.items()},
    }
    write_json(path, content)


def load(path: Path) -> LengthMemory | None:
    """Return what is in a file; None: there is none, or it is of an earlier format.

    Raises:
        ValueError: it is damaged, or cannot be read; one sentence.
    """
    try:
        with path.open('rb') as file:
            text = file.read(MOST_BYTES + 1)
        if len(text) > MOST_BYTES:
            raise ValueError(f'it has more than {MOST_BYTES} bytes')
        content = json.loads(text)
        if content['format'] != FORMAT:
            return None
        of_all, of_habit = content['of_all'], content['of_habit']
        corrections = content['corrections']
        if corrections.keys() != of_all.keys():
            raise ValueError('a correction is missing')
        if len(of_habit) > HABITS or not all(_KEY.fullmatch(key) for key in of_habit):
            raise ValueError('it has other habits than the node writes')
        return LengthMemory(
            {ConstraintKind[kind]: _read(learned) for kind, learned in of_all.items()},
            {ConstraintKind[kind]: _read_counts(c, PARTS) for kind, c in corrections.items()},
            OrderedDict((key, _read(learned)) for key, learned in of_habit.items()),
        )
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        reason = str(error) if isinstance(error, OSError) else f'damaged ({error})'
        raise ValueError(
            f'the learned lengths in {str(path)!r} cannot be used: {reason}'
        ) from error


def _written(learned: Learned) -> dict[str, Any]:
    return {
        **_written_counts(learned.counts),
        'predictor': round(learned.predictor, _DIGITS),
        'judged': round(learned.judged, _DIGITS),
    }


def _written_counts(counts: LengthCounts) -> dict[str, list[float]]:
    return {
        'ended': [round(count, _DIGITS) for count in counts.ended.tolist()],
        'begun': [round(count, _DIGITS) for count in counts.begun.tolist()],
    }


def _read(content: Any) -> Learned:
    counts = _read_counts(content, CELLS)
    predictor, judged = _numbers([content['predictor'], content['judged']], 2).tolist()
    if predictor > judged + 10.0**-_DIGITS:
        raise ValueError('a part is larger than the whole')
    return Learned(counts, min(predictor, judged), judged)


def _read_counts(content: Any, cells: int) -> LengthCounts:
    ended, begun = _numbers(content['ended'], cells), _numbers(content['begun'], cells)
    if (ended > begun + 10.0**-_DIGITS).any():
        raise ValueError('a part is larger than the whole')
    return LengthCounts(np.minimum(ended, begun), begun)


def _numbers(values: Any, number: int) -> Array:
    is_right = isinstance(values, list) and len(values) == number
    if not is_right or not all(type(value) in (int, float) for value in values):
        raise ValueError(f'{number} numbers are missing')
    if not all(0.0 <= value <= _MOST for value in values):  # nor NaN
        raise ValueError(f'a count is not within 0 and {_MOST}')
    return np.array(values, dtype=np.float64)
