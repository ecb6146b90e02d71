"""Which file of a model's folder is damaged or missing: the libraries' errors do not name it."""

import json
from pathlib import Path
from typing import Any

INDEX = 'model.safetensors.index.json'
_WEIGHTS = 'model.safetensors'
_JSON_FILES = ('config.json', 'generation_config.json', 'tokenizer_config.json', 'tokenizer.json')
_TOKENIZERS = ('tokenizer.json', '*.model', 'vocab.json', 'vocab.txt', 'tekken.json')
_POINTER = b'version https://git-lfs'
_LENGTH_BYTES = 8
_LONGEST_HEADER = 100_000_000
"""safetensors' own bound [bytes]."""
_AGAIN = 'copy or download it again'


def folder_fault(folder: Path) -> str:
    """Return what is wrong with a model's files, as a clause that names one; '' if nothing is.

    It reads the small files and the headers of the weights. Call it after an error.
    """
    in_parts = (folder / INDEX).is_file() and not (folder / _WEIGHTS).exists()
    for name in (*_JSON_FILES, INDEX) if in_parts else _JSON_FILES:
        if fault := json_fault(folder / name):
            return fault
    if not any(any(folder.glob(name)) for name in _TOKENIZERS):
        return 'it has no tokenizer.json'
    names = [_WEIGHTS]
    if in_parts:
        index = json.loads((folder / INDEX).read_text(encoding='utf-8'))
        for part in ('metadata', 'weight_map'):
            if not isinstance(index.get(part), dict):
                return f'{INDEX} has no {part!r}: {_AGAIN}'
        names = sorted(map(str, index['weight_map'].values()))
    return next(filter(None, (_weights_fault(folder / name) for name in dict.fromkeys(names))), '')


def json_fault(path: Path) -> str:
    """Return why a file is no JSON object, as a clause; '' if it is one, or is not there."""
    if not path.is_file():
        return ''
    try:
        content = json.loads(path.read_text(encoding='utf-8'))
    except ValueError as error:  # not UTF-8, either
        pointer = _pointer_fault(path)
        return pointer or f'{path.name} is damaged ({error}): {_AGAIN}'
    return '' if isinstance(content, dict) else f'{path.name} is no JSON object: {_AGAIN}'


def _weights_fault(path: Path) -> str:
    if not path.is_file():
        pickles = sorted(path.parent.glob('pytorch_model*.bin'))
        if pickles:
            return (
                f'it has no {path.name}, and {pickles[0].name} is a pickle, which is not read '
                'because it can hold programs: convert it to safetensors'
            )
        return f'it has no {path.name}'
    if pointer := _pointer_fault(path):
        return pointer
    size = path.stat().st_size
    wanted = _size_of_header(path)
    if wanted is None:
        return f'{path.name} is damaged, or no safetensors file: {_AGAIN}'
    if wanted != size:
        kind = 'cut short' if size < wanted else 'damaged'
        return f'{path.name} is {kind} ({size} bytes, not {wanted}): {_AGAIN}'
    return ''


def _size_of_header(path: Path) -> int | None:
    """Return the size that a file of weights should have [bytes]; None: its header is damaged."""
    with path.open('rb') as file:
        length = int.from_bytes(file.read(_LENGTH_BYTES), 'little')
        if not 2 <= length <= _LONGEST_HEADER:
            return None
        header = file.read(length)
    try:
        entries: dict[str, Any] = json.loads(header)
        ends = [int(e['data_offsets'][1]) for n, e in entries.items() if n != '__metadata__']
    except (ValueError, TypeError, KeyError, IndexError, AttributeError):
        return None
    return _LENGTH_BYTES + length + max(ends, default=0)


def _pointer_fault(path: Path) -> str:
    with path.open('rb') as file:
        if file.read(len(_POINTER)) != _POINTER:
            return ''
    return f'{path.name} only points to its content in Git LFS: run `git lfs pull` in its folder'
