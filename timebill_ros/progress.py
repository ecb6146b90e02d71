"""Shows the progress of a long task: a bar on a terminal, else a line every few seconds."""

import sys
import time

from tqdm import tqdm  # transformers depends on it

_LOG_PERIOD_S = 5.0


class Progress:
    """Counts steps. Use as a context manager.

    Arguments:
        total: number of steps.
        unit: name of a step.
    """

    def __init__(self, total: int, unit: str) -> None:
        self._total, self._unit = total, unit
        self._done, self._said_at_s, self._start_s = 0, 0.0, time.monotonic()
        self._bar = tqdm(total=total, unit=unit) if sys.stderr.isatty() else None

    def __enter__(self) -> 'Progress':
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.close()

    def advance(self, steps: int, doing: str) -> None:
        """Count steps as done.

        Arguments:
            doing: one or two words on the present step.
        """
        self._done += steps
        if self._bar is not None:
            self._bar.set_description(doing, refresh=False)
            self._bar.update(steps)
            return
        now_s = time.monotonic()
        if now_s - self._said_at_s >= _LOG_PERIOD_S or self._done == self._total:
            self._said_at_s = now_s
            print(
                f'[{now_s - self._start_s:6.1f} s] {self._done} of {self._total} {self._unit}: '
                f'{doing}',
                file=sys.stderr,
                flush=True,
            )
