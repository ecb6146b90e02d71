"""Lets the tests of this folder import their tiny models by name."""

import sys
from pathlib import Path

import pytest
import torch
from transformers import Qwen2Config, Qwen2ForCausalLM

from timebill_ros.inference.model_loader import BUILT_IN, TargetModel, load_target

sys.path.insert(0, str(Path(__file__).parent))


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


@pytest.fixture
def qwen2(built_in: TargetModel, tmp_path: Path) -> Path:
    """A folder with a Qwen2 of random weights and a real tokenizer."""
    config = Qwen2Config(
        vocab_size=len(built_in.tokenizer),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=512,
        eos_token_id=2,
    )
    torch.manual_seed(0)
    Qwen2ForCausalLM(config).save_pretrained(tmp_path)
    built_in.tokenizer.save_pretrained(tmp_path)
    return tmp_path
