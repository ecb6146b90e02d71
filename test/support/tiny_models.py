"""Random-weight models of some 100,000 parameters, one of each architecture that matters."""

from functools import cache
from typing import Any

import torch
from transformers import (
    AutoModelForCausalLM,
    Gemma3TextConfig,
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    Qwen2Config,
    Qwen3Config,
)

from support.fake_tokenizer import FakeTokenizer
from timebill_ros.core.deadline import Deadline
from timebill_ros.inference import attention
from timebill_ros.inference.engine import Engine
from timebill_ros.inference.interrupt import Interrupt
from timebill_ros.inference.loading.model_loader import TargetModel
from timebill_ros.inference.prefilled import Prefilled

SLIDING_WINDOW = 12
WIDE_WINDOW = 80
CONTEXT_TOKENS = 512
ARCHITECTURES = ('llama', 'qwen2', 'qwen3', 'gemma3', 'mistral')
NEVER = Interrupt(Deadline(float('inf')))

_SHAPE = {
    'vocab_size': 96,
    'hidden_size': 96,
    'intermediate_size': 96,
    'num_hidden_layers': 3,
    'num_attention_heads': 6,
    'num_key_value_heads': 2,
    'head_dim': 32,
    'max_position_embeddings': CONTEXT_TOKENS,
    # Large enough for attention that is far from uniform.
    'initializer_range': 0.2,
    'attn_implementation': attention.NAME,
}
_CONFIGS: dict[str, Any] = {
    'llama': lambda: LlamaConfig(**_SHAPE),
    'llama-dynamic': lambda: LlamaConfig(
        **_SHAPE, rope_parameters={'rope_type': 'dynamic', 'factor': 2.0, 'rope_theta': 1e4}
    ),
    'qwen2': lambda: Qwen2Config(**_SHAPE),
    'qwen3': lambda: Qwen3Config(**_SHAPE),
    'gemma3': lambda: Gemma3TextConfig(
        **_SHAPE,
        sliding_window=SLIDING_WINDOW,
        layer_types=['sliding_attention', 'full_attention', 'sliding_attention'],
        query_pre_attn_scalar=5,
    ),
    'mistral': lambda: MistralConfig(**_SHAPE, sliding_window=None),
    'mistral-sliding': lambda: MistralConfig(**_SHAPE, sliding_window=SLIDING_WINDOW),
    'mistral-wide': lambda: MistralConfig(**_SHAPE, sliding_window=WIDE_WINDOW),
}


@cache
def tiny_model(architecture: str) -> Any:
    """Return the model, in fp32, with our attention."""
    torch.manual_seed(0)
    return AutoModelForCausalLM.from_config(_CONFIGS[architecture]()).eval()


def stock_model(architecture: str, implementation: str = 'eager') -> Any:
    """Return the same weights with another attention."""
    config = _CONFIGS[architecture]()
    config._attn_implementation = implementation
    model = AutoModelForCausalLM.from_config(config, attn_implementation=implementation).eval()
    model.load_state_dict(tiny_model(architecture).state_dict())
    return model


def tiny_target(architecture: str) -> TargetModel:
    """Return the model as the engine takes it; nothing ends an answer but its length."""
    return target_of(architecture, tiny_model(architecture))


def target_of(name: str, model: Any) -> TargetModel:
    """Return a model in fp32 as the engine takes it."""
    return TargetModel(
        name=name,
        model=model,
        tokenizer=FakeTokenizer(_SHAPE['vocab_size']),
        stop_token_ids=frozenset(),
        context_length=CONTEXT_TOKENS,
        weights_hash=name,
        repetition_penalty=1.0,
        device=torch.device('cpu'),
        dtype=torch.float32,
    )


def random_prompt(tokens: int, seed: int = 0) -> list[int]:
    """Return token ids."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, _SHAPE['vocab_size'], (tokens,), generator=generator).tolist()


def decoded(engine: Engine, prefilled: Prefilled, tokens: int) -> tuple[list[int], torch.Tensor]:
    """Return the generated ids and the logits, (tokens, vocabulary), that each came from."""
    seen, compute = [prefilled.logits.clone()], engine.step.logits

    def spy(token: torch.Tensor) -> torch.Tensor:
        logits = compute(token)
        seen.append(logits.clone())
        return logits

    engine.step.logits = spy  # type: ignore[method-assign]
    ids = [token for token, _ in engine.decode(prefilled, tokens, NEVER)]
    engine.step.logits = compute  # type: ignore[method-assign]
    return ids, torch.stack(seen)


def wide_model():
    """Return a random model in fp32 whose layers have a multiple of 256 columns."""
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=96,
        hidden_size=256,
        intermediate_size=512,
        num_hidden_layers=2,
        num_attention_heads=8,
        num_key_value_heads=2,
        head_dim=32,
        attn_implementation=attention.NAME,
    )
    return LlamaForCausalLM(config).eval()
