"""Recorded answers on disk: one JSON line each, added until the recording is complete."""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmark.budgets.keyed_lines import KeyedLines
from benchmark.budgets.recorded_answer import RecordedAnswer


class RecordingFile:
    """A file of answers by item and alpha. A context manager.

    Arguments:
        path: made if absent. A last line that was cut off is dropped.
        key: everything that the answers and their times depend on besides the items.

    Raises:
        ValueError: the file is another key's, or being added to; one sentence.
    """

    def __init__(self, path: Path, key: Mapping[str, Any]) -> None:
        self.path = path
        self.answers: dict[str, dict[float, RecordedAnswer]] = {}
        self.in_order: list[RecordedAnswer] = []
        self._lines = KeyedLines(path, key)
        for row in self._lines.rows:
            self._remember(
                RecordedAnswer(
                    **{**row, 'times_s': tuple(row['times_s']), 'pieces': tuple(row['pieces'])}
                )
            )

    def __enter__(self) -> 'RecordingFile':
        return self

    def __exit__(self, *_: object) -> None:
        self._lines.close()

    def add(self, answer: RecordedAnswer) -> None:
        """Append an answer; it is on the disk when this returns."""
        self._lines.add(asdict(answer))
        self._remember(answer)

    def _remember(self, answer: RecordedAnswer) -> None:
        self.answers.setdefault(answer.item, {})[answer.alpha] = answer
        self.in_order.append(answer)
