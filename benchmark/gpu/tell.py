"""How a part says what it finds: at once, so that what follows cannot take it back."""

from collections.abc import Callable
from typing import Any

Tell = Callable[..., None]
"""Called as tell(value, *path): the value is kept under these names."""


def guarded(tell: Tell, measure: Callable[[], Any], *path: str) -> Any:
    """Tell what is measured, or why it could not be; return it, or None.

    Arguments:
        measure: returns a number, a text or a dict of them.
        path: the names under which it is kept.
    """
    try:
        found = measure()
    except Exception as error:  # whatever it is: the other measurements are wanted too
        tell({'failed': sentence(error)}, *path)
        return None
    tell(found, *path)
    return found


def is_out_of_memory(finding: Any) -> bool:
    """Return whether guarded() tells of a measurement for which the memory did not suffice."""
    failed = str(finding.get('failed', '')) if isinstance(finding, dict) else ''
    return 'out of memory' in failed or 'ALLOC_FAILED' in failed


def sentence(error: BaseException) -> str:
    """Return an error's class and first line."""
    first = str(error).strip().partition('\n')[0][:300]
    return f'{type(error).__name__}: {first}'
