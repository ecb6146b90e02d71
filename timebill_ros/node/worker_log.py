"""The worker's log in the node's."""

import logging

from timebill_ros.core.shortened import shortened
from timebill_ros.node.logger import Logger
from timebill_ros.worker.log_line import LogLine

_LONGEST_LINE = 300
_MOST_REMEMBERED = 1000


class WorkerLog:
    """Passes lines on at their own levels. An error keeps its whole sentence.

    A warning is passed on once: libraries repeat theirs with each call, and each process that
    takes the place of another repeats all of them.

    Arguments:
        logger: the node's.
        name: of the process.
    """

    def __init__(self, logger: Logger, name: str = 'worker process') -> None:
        self._logger = logger
        self._name = name
        self._warned_of: set[str] = set()

    def add(self, line: LogLine) -> None:
        """Pass on a line; what is left out of it is at DEBUG."""
        text = f'{self._name}: {line.text}'
        if line.level >= logging.ERROR:
            self._logger.error(text)
            return
        short = shortened(text, _LONGEST_LINE)
        if line.level == logging.INFO:
            self._logger.info(short)
        elif line.level == logging.WARNING and self._is_new(line.text):
            self._logger.warning(short)
        else:
            self._logger.debug(text)
            return
        if short != text:
            self._logger.debug(text)

    def _is_new(self, text: str) -> bool:
        is_new = text not in self._warned_of
        if len(self._warned_of) < _MOST_REMEMBERED:
            self._warned_of.add(text)
        return is_new
