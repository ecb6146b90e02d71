"""Keeps what is learned of answers' lengths on the disk, so that a restart does not forget it."""

import threading
from pathlib import Path

from timebill_ros.dispatch import lengths_file
from timebill_ros.dispatch.learned_lengths import LearnedLengths
from timebill_ros.dispatch.length_memory import LengthMemory
from timebill_ros.node.logger import Logger

PERIOD_S = 60.0
"""What was learned is written so often, in a thread of its own: robots are switched off."""
_LAST_WRITE_S = 1.0
"""The end waits so long for the last one; on a slow disk, it is left to itself."""


class KeptLengths:
    """Reads a model's file once, and writes it now and then, and at the end.

    Without a file, or where none can be written, lengths are learned anew after each start. Two
    nodes with the same model share a file: the last one to write wins.

    Arguments:
        lengths: what is learned.
        logger: takes what cannot be read or written, once.
    """

    def __init__(self, lengths: LearnedLengths, logger: Logger) -> None:
        self._lengths = lengths
        self._logger = logger
        self._lock = threading.Lock()
        self._is_over = threading.Event()
        self._path: Path | None = None
        self._thread: threading.Thread | None = None
        self._last: LengthMemory | None = None
        self._written = lengths.answers
        self._has_warned = False

    def open(self, path: str) -> None:
        """Go on from a file, and write it from now on; nothing happens if it is open, or closed.

        Arguments:
            path: of the model; '': nothing is read or written.
        """
        with self._lock:
            if self._is_over.is_set() or self._path is not None:
                return
            self._path = Path(path)
            memory = self._read() if path else None
            self._lengths.replace(memory or LengthMemory())
            if path:
                self._thread = threading.Thread(target=self._write_on, name='lengths', daemon=True)
                self._thread.start()
            else:
                self._is_over.set()

    def close(self) -> None:
        """Have what is new written, and end; return within a second, however slow the disk is."""
        if self._is_over.is_set():
            return
        self._last = self._lengths.copy()  # the next model may replace them meanwhile
        self._is_over.set()
        thread = self._thread
        if thread is not None:
            thread.join(_LAST_WRITE_S)
            if thread.is_alive():
                self._logger.warning(
                    f'the learned lengths are still being written to {self._path}, after '
                    f'{_LAST_WRITE_S:.0f} s'
                )

    def _write_on(self) -> None:
        while not self._is_over.wait(PERIOD_S):
            self._write()
        self._write()

    def _read(self) -> LengthMemory | None:
        assert self._path is not None
        try:
            return lengths_file.load(self._path)
        except ValueError as error:
            self._logger.warning(f'{error}; they are learned anew')
            return None

    def _write(self) -> None:
        with self._lock:
            answers = self._lengths.answers
            if self._path is None or answers == self._written:
                return
            try:
                lengths_file.save(self._path, self._last or self._lengths.copy())
                self._written = answers
            except (OSError, ValueError) as error:  # a path that is none, too
                if not self._has_warned:
                    self._logger.warning(
                        f'the learned lengths cannot be kept in {str(self._path)!r}: {error}; '
                        'they are learned anew after the next start'
                    )
                self._has_warned = True
