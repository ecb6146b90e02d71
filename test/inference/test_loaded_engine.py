"""How many threads compute is settled before anything is loaded."""

import pytest
import torch

from timebill_ros.core.cpu_list import online_cpus
from timebill_ros.core.model_settings import ModelSettings
from timebill_ros.inference import loaded_engine as room


@pytest.mark.parametrize(
    ('settings', 'threads'),
    [
        (ModelSettings(), 3),
        (ModelSettings(cpu_affinity=str(min(online_cpus()))), 4),
        (ModelSettings(threads=2), 2),
    ],
)
def test_threads_are_as_asked_or_as_there_are_cores(
    settings: ModelSettings, threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    class LoadedError(Exception):
        pass

    def fake_load(*_: object) -> None:
        raise LoadedError

    taken: list[int] = []
    monkeypatch.setattr(room, 'default_threads', lambda leaves_one: 3 if leaves_one else 4)
    monkeypatch.setattr(room, 'load_target', fake_load)
    monkeypatch.setattr(torch, 'set_num_threads', taken.append)
    with pytest.raises(LoadedError):
        room.loaded_engine(settings)
    assert taken == [threads]
