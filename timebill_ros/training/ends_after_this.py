"""Ctrl-C as a request: finish what is begun, then end."""

import signal
import sys


class EndsAfterThis:
    """At the first SIGINT, ends after the current prompt. The second SIGINT interrupts."""

    def __init__(self) -> None:
        self.told = False

    def __enter__(self) -> 'EndsAfterThis':
        self._before = signal.signal(signal.SIGINT, self._tell)
        return self

    def __exit__(self, *_: object) -> None:
        signal.signal(signal.SIGINT, self._before)

    def _tell(self, *_: object) -> None:
        self.told = True
        signal.signal(signal.SIGINT, self._before)
        print('ending after this prompt; again: at once', file=sys.stderr)
