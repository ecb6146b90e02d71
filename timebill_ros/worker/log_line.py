"""The worker's log on its way to the node: lines on standard error, each after its level.

What is no such line comes from a native library, or from Python as it dies.
"""

import logging
import re
import warnings
from dataclasses import dataclass

_LINE = re.compile(r'(DEBUG|INFO|WARNING|ERROR|CRITICAL): ?(.*)')
_OURS = ('root', 'timebill_ros')
_TRACEBACK = 'Traceback (most recent call last):'
_CHAINED = (
    'During handling of the above exception, another exception occurred:',
    'The above exception was the direct cause of the following exception:',
)
_PROGRESS_BAR = re.compile(r'\r|\d%\|')
_NATIVE_ERROR = re.compile(r'\[[EF]\d|Fatal |terminate called|.*\bERROR\b')


@dataclass(frozen=True)
class LogLine:
    """A line of the worker's log.

    Arguments:
        level: logging.DEBUG and so on.
    """

    level: int
    text: str


def log_to_standard_error() -> None:
    """Make the worker's log one that a LogReader reads: a record a line, tracebacks at DEBUG."""
    handler = logging.StreamHandler()
    handler.setFormatter(_LineFormatter())
    handler.addFilter(_is_worth_a_line)
    logging.basicConfig(level=logging.DEBUG, handlers=[handler])
    logging.captureWarnings(True)
    warnings.formatwarning = lambda message, category, *_: f'{category.__name__}: {message}'


def take_over_libraries() -> None:
    """Have the libraries that are loaded log as the worker does: some print by themselves."""
    for logger in logging.root.manager.loggerDict.values():
        if isinstance(logger, logging.Logger):
            logger.handlers.clear()
            logger.propagate = True


def is_record(raw: str) -> bool:
    """Whether a line comes from a logger, and not from a native library or a dying Python."""
    return _LINE.fullmatch(raw) is not None


class LogReader:
    """Reads the lines of one worker's standard error, in order."""

    def __init__(self) -> None:
        self._is_in_traceback = False

    def read(self, raw: str) -> LogLine:
        """Return a line with its level."""
        found = _LINE.fullmatch(raw)
        if found is not None:
            self._is_in_traceback = False
            return LogLine(getattr(logging, found[1]), found[2])
        return LogLine(self._level_of(raw), raw.strip())

    def _level_of(self, raw: str) -> int:
        """Return the level of a line that does not say it."""
        if raw == _TRACEBACK or raw in _CHAINED:
            self._is_in_traceback = True
            return logging.DEBUG
        if raw.startswith(' ') or _PROGRESS_BAR.search(raw):
            return logging.DEBUG
        if self._is_in_traceback:  # its last line is the error's own
            self._is_in_traceback = False
            return logging.ERROR
        return logging.ERROR if _NATIVE_ERROR.match(raw) else logging.WARNING


class _LineFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        text = ' '.join(record.getMessage().split())
        lines = []
        if record.exc_info and record.exc_info[0] is not None:
            kind, error, _ = record.exc_info
            text += f': {kind.__name__}: {" ".join(str(error).split())}'
            lines = self.formatException(record.exc_info).splitlines()
        return '\n'.join([f'{record.levelname}: {text}', *(f'DEBUG: {line}' for line in lines)])


def _is_worth_a_line(record: logging.LogRecord) -> bool:
    """Leave out what libraries log below WARNING, such as each request that they make."""
    return record.levelno >= logging.WARNING or record.name.partition('.')[0] in _OURS
