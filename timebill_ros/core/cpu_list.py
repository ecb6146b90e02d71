"""Numbers of CPUs as the kernel and taskset write them: '0,2-3'."""

import os
import re
from pathlib import Path

_ONLINE = Path('/sys/devices/system/cpu/online')
_PART = re.compile(r'(\d{1,4})(?:-(\d{1,4}))?')


def cpus_of(text: str) -> frozenset[int]:
    """Return the numbers in a list of CPUs; none for an empty text.

    Raises:
        ValueError: it is no such list; a clause.
    """
    cpus: set[int] = set()
    for part in text.split(',') if text.strip() else ():
        found = _PART.fullmatch(part.strip())
        if found is None:
            raise ValueError("it must be a list of CPUs such as '2,3' or '4-7'")
        first, last = int(found[1]), int(found[2] or found[1])
        if last < first:
            raise ValueError(f'{part.strip()} runs backwards')
        cpus.update(range(first, last + 1))
    return frozenset(cpus)


def online_cpus() -> frozenset[int]:
    """Return the numbers of this machine's CPUs that can be used."""
    try:
        return cpus_of(_ONLINE.read_text())
    except (OSError, ValueError):
        return frozenset(range(os.cpu_count() or 1))
