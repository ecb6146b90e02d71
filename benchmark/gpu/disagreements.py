"""Finds what failed or does not agree, among all findings."""

from collections.abc import Iterator
from typing import Any


def disagreements(found: Any, path: tuple[str, ...] = ()) -> Iterator[str]:
    """Yield a sentence for each finding that failed, or is a comparison that does not agree.

    Arguments:
        found: findings by name, also nested.
        path: names above them.
    """
    if not isinstance(found, dict):
        return
    if 'failed' in found:
        yield f'{", ".join(path)}: {found["failed"]}'
    elif found.get('agrees') is False:
        yield f'{", ".join(path)}: {found["detail"]}'
    else:
        for name, value in found.items():
            yield from disagreements(value, (*path, name))
