"""Collected lengths on disk: one JSON line for each prompt, without its text."""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from timebill_ros.training.appended_lines import AppendedLines, whole_lines
from timebill_ros.training.prompt import Kind

FORMAT = 1
"""Increase it if the meaning of the fields changes: older files are then refused."""


@dataclass(frozen=True)
class LengthKey:
    """Everything that the length of an answer depends on, besides its prompt.

    Arguments:
        target, weights_hash, dtype, quantization: the target model's.
        device: 'cpu' or 'cuda'.
        step: name of the engine's decoding step.
        repetition_penalty: of the decoding.
        max_new_tokens: N_max, the greatest length of an answer.
        versions: of the libraries that compute the answers.
    """

    target: str
    weights_hash: str
    device: str
    dtype: str
    quantization: str
    step: str
    repetition_penalty: float
    max_new_tokens: int
    versions: str


@dataclass(frozen=True)
class LengthRecord:
    """The length of the answer to one prompt.

    Arguments:
        sha256: of the prompt's text.
        source, kind: the prompt's.
        prompt_tokens: with the chat template around it.
        response_tokens: length of the answer with the stop token.
        finish_reason: 'EOS', 'LENGTH' or 'REPETITION'.
        prefill_s, decode_s: measured times [s].
    """

    sha256: str
    source: str
    kind: Kind
    prompt_tokens: int
    response_tokens: int
    finish_reason: str
    prefill_s: float
    decode_s: float


class LengthFile:
    """A file to which records are added, one whole line at a time. A context manager.

    Arguments:
        path: made if absent. An incomplete last line is removed.
        key: the conditions under which the file's records are valid.

    Raises:
        ValueError: the file has another key, is damaged, or is in use; one sentence.
    """

    def __init__(self, path: Path, key: LengthKey) -> None:
        self.records: list[LengthRecord] = []
        self._lines = AppendedLines(path)
        try:
            if self._lines.found:
                found, self.records = _parsed(path, self._lines.found)
                refuse_another(path, found, key)
            else:
                self._lines.add({'format': FORMAT, 'key': asdict(key)})
        except ValueError:
            self._lines.close()
            raise

    def __enter__(self) -> 'LengthFile':
        return self

    def __exit__(self, *_: object) -> None:
        self._lines.close()

    def add(self, record: LengthRecord) -> None:
        """Append a record; it is on the disk when this returns."""
        self._lines.add(asdict(record))
        self.records.append(record)


def read_lengths(path: Path) -> tuple[LengthKey, list[LengthRecord]]:
    """Return the key and records of a file, without an incomplete last line.

    Raises:
        ValueError: there is no such file, or it is damaged; one sentence.
    """
    whole = whole_lines(path)
    if not whole:
        raise ValueError(f'{path} does not exist, or is empty: collect lengths first')
    return _parsed(path, whole)


def refuse_another(path: Path, found: LengthKey, key: LengthKey) -> None:
    """Raise ValueError if a file has another key; the sentence says what differs."""
    other = [
        f'{name} {old!r}, not {new!r}'
        for (name, old), new in zip(asdict(found).items(), asdict(key).values(), strict=True)
        if old != new
    ]
    if other:
        raise ValueError(
            f'{path} was collected with {"; ".join(other)}: name another folder, or remove it'
        )


def _parsed(path: Path, whole: bytes) -> tuple[LengthKey, list[LengthRecord]]:
    lines = _json_lines(path, whole)
    number, header = next(lines)
    if not isinstance(header, dict) or header.get('format') != FORMAT:
        raise ValueError(f'{path}, line {number}: not a file of lengths of format {FORMAT}')
    try:
        key = LengthKey(**header['key'])
        records = []
        for number, content in lines:
            record = LengthRecord(**content)
            records.append(replace(record, kind=Kind(record.kind)))
    except (TypeError, KeyError, ValueError) as error:
        raise ValueError(f'{path}, line {number}: damaged ({error})') from error
    return key, records


def _json_lines(path: Path, whole: bytes) -> Iterator[tuple[int, Any]]:
    for number, line in enumerate(whole.splitlines(), 1):
        try:
            yield number, json.loads(line)
        except ValueError as error:
            raise ValueError(f'{path}, line {number}: damaged ({error})') from error
