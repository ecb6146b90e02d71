"""What the parameter `model` may name."""

import shutil
from pathlib import Path

import huggingface_hub
import pytest

from timebill_ros.inference.loading import model_source
from timebill_ros.inference.loading.model_source import locate


def _folder(path: Path, *files: str) -> Path:
    path.mkdir(parents=True)
    for name in files:
        (path / name).touch()
    return path


def test_a_folder_with_only_an_adapter_is_refused(tmp_path: Path) -> None:
    folder = _folder(tmp_path / 'lora', 'adapter_config.json', 'tokenizer.json')
    with pytest.raises(ValueError, match='holds only an adapter: merge it'):
        locate(str(folder))


def test_the_folder_of_a_hub_cache_stands_for_its_snapshot(tmp_path: Path) -> None:
    snapshot = _folder(tmp_path / 'models--a--b/snapshots/abc', 'config.json')
    assert locate(str(tmp_path / 'models--a--b')) == snapshot


def test_of_several_snapshots_main_is_taken_or_one_is_named(tmp_path: Path) -> None:
    root = tmp_path / 'models--a--b'
    snapshots = [_folder(root / 'snapshots' / name, 'config.json') for name in ('abc', 'def')]
    with pytest.raises(ValueError, match=f'holds 2 snapshots: give one, e.g. {snapshots[1]}'):
        locate(str(root))
    _folder(root / 'refs')
    (root / 'refs' / 'main').write_text('abc\n')
    assert locate(str(root)) == snapshots[0]


def test_a_folder_of_gguf_files_names_one(tmp_path: Path) -> None:
    folder = _folder(tmp_path / 'ggufs', 'a.gguf')
    with pytest.raises(ValueError, match=f'give one, e.g. {folder}/a.gguf'):
        locate(str(folder))


def test_a_folder_without_a_configuration_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match='is a folder without a config'):
        locate(str(tmp_path))


@pytest.fixture
def hub_cache(tmp_path: Path, monkeypatch) -> Path:
    """A cache of the hub, and no network."""
    monkeypatch.setattr(huggingface_hub.constants, 'HF_HUB_CACHE', str(tmp_path / 'hub'))
    local = model_source.snapshot_download

    def without_network(hub_id, local_files_only=False, **kwargs):
        if not local_files_only:
            raise OSError('no network')
        return local(hub_id, local_files_only=True, **kwargs)

    monkeypatch.setattr(model_source, 'snapshot_download', without_network)
    return tmp_path / 'hub'


def test_a_cached_hub_model_needs_no_network(hub_cache: Path) -> None:
    root = hub_cache / 'models--owner--name'
    snapshot = _folder(root / 'snapshots' / 'a', 'config.json', 'model.safetensors')
    (root / 'refs').mkdir()
    (root / 'refs' / 'main').write_text('a')
    assert locate('owner/name') == snapshot


def test_a_hub_model_that_is_not_here_may_come_later(hub_cache: Path) -> None:
    with pytest.raises(ConnectionError, match="'owner/name' is not in the cache of the hub"):
        locate('owner/name')


def test_a_half_downloaded_hub_model_is_not_taken_for_whole(hub_cache: Path) -> None:
    root = hub_cache / 'models--owner--name'
    snapshot = _folder(root / 'snapshots' / 'a', 'config.json', 'model.safetensors')
    (root / 'refs').mkdir()
    (root / 'refs' / 'main').write_text('a')
    (snapshot / 'model.safetensors.index.json').write_text(
        '{"weight_map": {"x": "model-00001-of-00002.safetensors"}}'
    )
    with pytest.raises(ConnectionError):
        locate('owner/name')
    shutil.copy(snapshot / 'model.safetensors', snapshot / 'model-00001-of-00002.safetensors')
    assert locate('owner/name') == snapshot
