"""For how many tokens there is room in memory."""

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from support.tiny_models import tiny_target
from timebill_ros.inference import cache_memory
from timebill_ros.inference.cache_memory import free_bytes, room_tokens, token_bytes
from timebill_ros.inference.engine import DecodingSettings, Engine
from timebill_ros.inference.prefix.prefix_cache import PrefixCache

CPU = torch.device('cpu')
TOKEN_BYTES = 3 * 2 * 2 * 32 * 4  # layers, K and V, heads, size, fp32


@pytest.fixture
def engine() -> Engine:
    return Engine(tiny_target('llama'), DecodingSettings())


@pytest.fixture
def linux(tmp_path: Path) -> Path:
    """Return a folder with 8,000 kB available, and no container's bound."""
    (tmp_path / 'meminfo').write_text('MemTotal: 9000 kB\nMemAvailable:   8000 kB\nSwap: 0 kB\n')
    return tmp_path


def test_a_token_takes_its_keys_and_values(engine: Engine) -> None:
    assert token_bytes(engine) == TOKEN_BYTES


def test_the_room_is_a_share_of_what_is_free_without_what_prompts_may_yet_take(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache_memory, 'free_bytes', lambda _: 1000 * TOKEN_BYTES)
    assert room_tokens(engine, TOKEN_BYTES) == 800
    engine.prefixes = PrefixCache(300 * TOKEN_BYTES)
    assert room_tokens(engine, TOKEN_BYTES) == 500
    engine.prefixes = PrefixCache(900 * TOKEN_BYTES)
    assert room_tokens(engine, TOKEN_BYTES) == 1  # none; 0 would mean that it is not known


def test_a_machine_has_what_linux_calls_available(linux: Path) -> None:
    assert free_bytes(CPU, linux / 'meminfo', linux) == 8000 * 1024
    assert free_bytes(CPU) > 0  # here


@pytest.mark.parametrize(
    ('is_integrated', 'expected'), [(False, 5_000_000), (True, 8000 * 1024 + 2_000_000)]
)
def test_a_gpu_that_shares_the_machines_memory_has_what_files_have_taken(
    is_integrated: bool, expected: int, linux: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {
        'mem_get_info': (3_000_000, 9_000_000),
        'memory_reserved': 6_000_000,
        'memory_allocated': 4_000_000,
        'get_device_properties': SimpleNamespace(is_integrated=is_integrated),
    }.items():
        monkeypatch.setattr(torch.cuda, name, lambda _, value=value: value)
    assert free_bytes(torch.device('cuda:0'), linux / 'meminfo', linux) == expected


@pytest.mark.parametrize(
    ('most', 'expected'), [('max', 8_192_000), ('6000000', 2_500_000), ('90000000', 8_192_000)]
)
def test_a_container_has_no_more_than_its_bound_leaves(
    linux: Path, most: str, expected: int
) -> None:
    (linux / 'memory.max').write_text(f'{most}\n')
    (linux / 'memory.current').write_text('5000000\n')
    (linux / 'memory.stat').write_text('anon 100\ninactive_file 1500000\n')
    assert free_bytes(CPU, linux / 'meminfo', linux) == expected
