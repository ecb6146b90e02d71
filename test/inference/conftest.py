"""Tiny models run on one thread, and the built-in model is loaded once a file."""

import shutil
from pathlib import Path

import pytest
import torch

from support.tiny_model_folder import saved_qwen2
from timebill_ros.inference.engine import Engine
from timebill_ros.inference.loading.model_loader import BUILT_IN, TargetModel, load_target
from timebill_ros.inference.prefilled import Prefilled


@pytest.fixture(autouse=True, scope='session')
def one_thread():
    """Run tiny models on one thread: with two, a busy neighbour makes each small product wait."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope='module')
def built_in() -> TargetModel:
    return load_target(BUILT_IN, device='cpu')


@pytest.fixture(scope='session')
def _qwen2(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return saved_qwen2(tmp_path_factory.mktemp('qwen2'))


@pytest.fixture
def qwen2(_qwen2: Path, tmp_path: Path) -> Path:
    """A folder with a Qwen2 of random weights and a real tokenizer, which may be changed."""
    return Path(shutil.copytree(_qwen2, tmp_path, dirs_exist_ok=True))


@pytest.fixture
def kept(monkeypatch: pytest.MonkeyPatch) -> list[torch.Tensor]:
    """Positions that stay of prompt and answer, (kv_heads, kept): a layer after the other."""
    found: list[torch.Tensor] = []
    evict = Engine.evict

    def spy(engine: Engine, prefilled: Prefilled, kept_tokens: int) -> dict[int, torch.Tensor]:
        stays, prompt_tokens = evict(engine, prefilled, kept_tokens), len(prefilled.prompt_ids)
        for layer, positions in stays.items():
            behind = prefilled.cache.layers[layer].length - positions.shape[1]
            answer = torch.arange(prompt_tokens, prompt_tokens + behind)
            found.append(torch.cat([positions, answer.expand(len(positions), -1)], dim=1))
        return stays

    monkeypatch.setattr(Engine, 'evict', spy)
    return found
