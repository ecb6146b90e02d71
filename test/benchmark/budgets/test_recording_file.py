"""Recorded answers on disk."""

from pathlib import Path

import pytest

from benchmark.budgets.recording_file import RecordingFile
from support.recorded_answers import answer

KEY = {'model': 'tiny', 'seed': 0}


def test_answers_are_there_again_after_a_cut(tmp_path: Path) -> None:
    path = tmp_path / 'folder' / 'f.jsonl'
    with RecordingFile(path, KEY) as recording:
        recording.add(answer(0.0, 'a b'))
        recording.add(answer(0.5, 'ü'))
    path.write_bytes(path.read_bytes()[:-5])
    with RecordingFile(path, KEY) as recording:
        assert recording.answers == {'item': {0.0: answer(0.0, 'a b')}}
        recording.add(answer(0.5, 'ü'))
    with RecordingFile(path, KEY) as recording:
        assert recording.answers['item'][0.5] == answer(0.5, 'ü')


def test_another_models_recording_is_not_gone_on_with(tmp_path: Path) -> None:
    with RecordingFile(tmp_path / 'f', KEY):
        pass
    with pytest.raises(ValueError, match='another model: remove it'):
        RecordingFile(tmp_path / 'f', {**KEY, 'model': 'large'})
