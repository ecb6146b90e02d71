"""What a model may be called is seen before anything is loaded."""

from pathlib import Path

import pytest

from timebill_ros.core.model_name import BUILT_IN, why_no_model
from timebill_ros.core.model_settings import ModelSettings


def test_the_default_is_built_in() -> None:
    assert ModelSettings().model == BUILT_IN


@pytest.mark.parametrize('source', [BUILT_IN, 'owner/name', 'Qwen/Qwen2.5-0.5B-Instruct'])
def test_the_built_in_model_and_what_may_be_on_the_hub_need_not_be_here(source: str) -> None:
    assert why_no_model(source) == ''


def test_files_and_folders_must_be_there(tmp_path: Path) -> None:
    file = tmp_path / 'model.gguf'
    assert why_no_model(str(file)).startswith(f'model {str(file)!r} does not exist: it must be')
    file.touch()
    assert why_no_model(str(file)) == why_no_model(str(tmp_path)) == ''
    (tmp_path / 'model.bin').touch()
    assert why_no_model(f'{tmp_path}/model.bin').endswith('is a file, but not a .gguf one')


@pytest.mark.parametrize(
    'source',
    [
        *('', ' ', 'nonesuch', './owner/name', '~/name', '~nobody-here/name', 'owner/name.gguf'),
        *('a/b/c', '/nonexistent', 'x' * 5000, 'nul\0', '\ud800/name.gguf'),
    ],
)
def test_what_is_nothing_of_all_this_is_refused_in_a_sentence(source: str) -> None:
    sentence = why_no_model(source)
    assert sentence.startswith('model ')
    assert '\n' not in sentence
    sentence.encode()
