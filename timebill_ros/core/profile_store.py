"""Time models on disk, so that a machine is profiled once for each way of running a model."""

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path

from timebill_ros.core.atomic_file import write_json
from timebill_ros.core.time_model import TimeModel

FORMAT = 2
"""Raised when the coefficients' meaning changes: older files then count as absent."""


@dataclass(frozen=True)
class ProfileKey:
    """Everything that a time depends on, as text. Another key is another profile.

    Arguments:
        model: name of the model.
        weights_hash: hash of its weights' file.
        device: such as the CPU's or GPU's name.
        dtype: of activations and cache.
        quantization: of the weights.
        threads: number of threads.
        versions: of the libraries that compute.
        kernels: how attention and linear layers are computed, with the settings of the scorer.
        prefill_chunk: tokens of the prefill's chunks.
    """

    model: str
    weights_hash: str
    device: str
    dtype: str
    quantization: str
    threads: str
    versions: str
    kernels: str
    prefill_chunk: str

    @property
    def file_name(self) -> str:
        """Name of the profile's file: a hash of all fields."""
        text = json.dumps([FORMAT, asdict(self)], sort_keys=True)
        return f'profile-{hashlib.sha256(text.encode()).hexdigest()[:20]}.json'


def save(directory: Path, key: ProfileKey, model: TimeModel) -> Path:
    """Write a profile and return its path. A reader sees the old file or the new, never a part.

    Arguments:
        directory: made if absent.
        key: what the profile holds for.
        model: the coefficients.

    Raises:
        OSError: the directory cannot be made or written.
    """
    path = directory / key.file_name
    content = {'format': FORMAT, 'key': asdict(key), 'coefficients': asdict(model)}
    write_json(path, content)
    return path


def load(directory: Path, key: ProfileKey) -> TimeModel | None:
    """Return the saved coefficients, or None if they must be measured.

    None when the file is absent, cannot be read, is damaged, or is another key's.

    Arguments:
        directory: the one given to save.
        key: what the profile must hold for.
    """
    try:
        content = json.loads((directory / key.file_name).read_text(encoding='utf-8'))
        if content['format'] != FORMAT or content['key'] != asdict(key):
            return None
        return TimeModel(**content['coefficients'])
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        return None
