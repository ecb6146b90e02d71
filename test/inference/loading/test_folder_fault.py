"""A damaged or missing file of a model's folder is named, with what would help."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from timebill_ros.inference.loading.folder_fault import INDEX, folder_fault
from timebill_ros.inference.loading.model_loader import load_target

POINTER = b'version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n'


def cut(name: str) -> Callable[[Path], object]:
    """Return what leaves half of a file."""

    def change(folder: Path) -> None:
        content = (folder / name).read_bytes()
        (folder / name).write_bytes(content[: len(content) // 2])

    return change


def written(name: str, content: bytes) -> Callable[[Path], object]:
    return lambda folder: (folder / name).write_bytes(content)


def pickled(folder: Path) -> None:
    (folder / 'model.safetensors').rename(folder / 'pytorch_model.bin')


def with_index(content: bytes) -> Callable[[Path], object]:
    def change(folder: Path) -> None:
        (folder / 'model.safetensors').unlink()
        (folder / INDEX).write_bytes(content)

    return change


def one_part_of_two(folder: Path) -> None:
    names = {'a': 'model-00001-of-00002.safetensors', 'b': 'model-00002-of-00002.safetensors'}
    (folder / 'model.safetensors').rename(folder / names['a'])
    (folder / INDEX).write_text(json.dumps({'metadata': {}, 'weight_map': names}))


@pytest.mark.parametrize(
    ('damage', 'words'),
    [
        (cut('model.safetensors'), r'model\.safetensors is cut short \(\d+ bytes, not \d+\)'),
        (written('model.safetensors', b''), r'model\.safetensors is damaged, or no'),
        (written('model.safetensors', bytes(range(1, 200))), r'model\.safetensors is damaged'),
        (written('model.safetensors', b'\x02' + bytes(7) + b'[]'), r'model\.safetensors is dam'),
        (written('model.safetensors', POINTER), r'model\.safetensors only points .*git lfs pull'),
        (lambda f: (f / 'model.safetensors').unlink(), r'it has no model\.safetensors$'),
        (pickled, r'no model\.safetensors, and pytorch_model\.bin is a pickle.*: convert it'),
        (one_part_of_two, r'it has no model-00002-of-00002\.safetensors'),
        (with_index(b'{"metadata": {}}'), r"index\.json has no 'weight_map'"),
        (with_index(POINTER), r'index\.json only points'),
        (cut('config.json'), r'config\.json is damaged \(.*download it again'),
        (cut('tokenizer.json'), r'tokenizer\.json is damaged \(.*download it again'),
        (written('tokenizer_config.json', b'[]'), r'tokenizer_config\.json is no JSON object'),
        (written('generation_config.json', b'\xff'), r'generation_config\.json is damaged'),
        (lambda f: (f / 'tokenizer.json').unlink(), r'it has no tokenizer\.json'),
    ],
)
def test_the_file_is_named(qwen2: Path, damage: Callable[[Path], object], words: str) -> None:
    damage(qwen2)
    words = f"^model '{qwen2}' cannot be loaded: .*{words}"
    with pytest.raises(ValueError, match=words) as raised:
        load_target(str(qwen2), device='cpu')
    assert '\n' not in str(raised.value)


def test_a_tokenizer_without_words_is_refused(qwen2: Path) -> None:
    path = qwen2 / 'tokenizer.json'
    tokenizer = json.loads(path.read_text())
    tokenizer['model'] |= {'vocab': {}, 'merges': []}
    path.write_text(json.dumps(tokenizer))
    with pytest.raises(ValueError, match=r"knows no words: 'the robot' has no tokens$"):
        load_target(str(qwen2), device='cpu')


def test_a_whole_folder_has_no_fault(qwen2: Path) -> None:
    assert folder_fault(qwen2) == ''


def test_what_follows_the_weights_is_a_fault_too(qwen2: Path) -> None:
    with (qwen2 / 'model.safetensors').open('ab') as file:
        file.write(b'more')
    assert 'model.safetensors is damaged (' in folder_fault(qwen2)


def test_other_errors_keep_their_words(qwen2: Path) -> None:
    config = json.loads((qwen2 / 'config.json').read_text())
    (qwen2 / 'config.json').write_text(json.dumps(config | {'model_type': 'nothing-known'}))
    with pytest.raises(ValueError, match='nothing-known'):
        load_target(str(qwen2), device='cpu')
