"""bfcl-eval: what users ask of assistants that can call functions."""

import json
from collections.abc import Iterator
from random import Random

from timebill_ros.training.archive import Archive

_DATA = 'bfcl_eval/data/BFCL_v4_'
_WITH_FUNCTIONS = (
    *('live_simple', 'live_multiple', 'live_parallel_multiple'),
    *('simple_python', 'multiple', 'parallel', 'parallel_multiple'),
)
_CALL = (
    'You can call these functions:\n{functions}\n\n{asked}\n\nAnswer with the function calls only.'
)
_ALONE = ('live_irrelevance', 'irrelevance', 'multi_turn_base', 'web_search')


def calls(archive: Archive, count: int, random: Random) -> Iterator[str]:
    """Yield requests with the functions that may be called."""
    for name in _WITH_FUNCTIONS:
        for row in archive.json_lines(f'{_DATA}{name}.json'):
            functions = '\n'.join(json.dumps(function) for function in row['function'])
            asked = row['question'][0][-1]['content']
            yield _CALL.format(functions=functions, asked=asked)


def requests(archive: Archive, count: int, random: Random) -> Iterator[str]:
    """Yield requests alone."""
    for name in _ALONE:
        for row in archive.json_lines(f'{_DATA}{name}.json'):
            yield from (turn[-1]['content'] for turn in row['question'] if turn)
