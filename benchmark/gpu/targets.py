"""The models that are tried: tiny ones of several architectures, and random ones of real sizes."""

import copy
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from transformers import AutoModelForCausalLM, Qwen2Config

from benchmark.architectures.tiny_folders import tiny_model, tiny_tokenizer
from timebill_ros.inference import attention
from timebill_ros.inference.loading.model_loader import TargetModel
from timebill_ros.inference.reference_attention import use_attention

KINDS = ('llama', 'qwen2', 'qwen3', 'mistral', 'gemma3_text', 'gpt2')
"""With and without windows; gpt2 names its sizes unlike the others."""
TINY_CONTEXT, CONTEXT = 512, 32768


@cache
def _tiny(kind: str) -> Any:
    model = tiny_model(kind)
    use_attention(model, attention.NAME)
    return model


def tiny_target(kind: str, device: torch.device, dtype: torch.dtype) -> TargetModel:
    """Return a tiny random model; its weights are those of every other of its kind.

    Arguments:
        dtype: 16 bits: its weights are rounded to them.
    """
    return _target(kind, copy.deepcopy(_tiny(kind)).to(device, dtype), TINY_CONTEXT, None)


def rounded_target(kind: str, dtype: torch.dtype) -> TargetModel:
    """Return a tiny model with weights that are rounded to 16 bits, in fp32 on the CPU."""
    model = copy.deepcopy(_tiny(kind)).to(dtype).to(torch.float32)
    return _target(kind, model, TINY_CONTEXT, None)


@dataclass(frozen=True)
class Shape:
    """The sizes of a model like Qwen 2.5.

    Arguments:
        tied: the head is the embedding.
    """

    name: str
    hidden: int
    layers: int
    heads: int
    kv_heads: int
    intermediate: int
    vocabulary: int
    tied: bool

    def weights_bytes(self, dtype: torch.dtype) -> int:
        """Return about what the weights take [bytes]."""
        attention_size = self.hidden * self.hidden * (2 + 2 * self.kv_heads / self.heads)
        layer_size = attention_size + 3 * self.hidden * self.intermediate
        embedding_size = self.vocabulary * self.hidden * (1 if self.tied else 2)
        return int((self.layers * layer_size + embedding_size) * dtype.itemsize)


SHAPES = {
    shape.name: shape
    for shape in (
        Shape('0.5B', 896, 24, 14, 2, 4864, 151936, tied=True),
        Shape('1.5B', 1536, 28, 12, 2, 8960, 151936, tied=True),
        Shape('7B', 3584, 28, 28, 4, 18944, 152064, tied=False),
    )
}


def random_target(shape: Shape, device: torch.device, dtype: torch.dtype) -> TargetModel:
    """Return a random model of a shape. Its tokenizer knows few of its tokens."""
    config = Qwen2Config(
        vocab_size=shape.vocabulary,
        hidden_size=shape.hidden,
        intermediate_size=shape.intermediate,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        num_key_value_heads=shape.kv_heads,
        max_position_embeddings=CONTEXT,
        tie_word_embeddings=shape.tied,
        bos_token_id=None,
        eos_token_id=None,
    )
    torch.manual_seed(0)
    with torch.device(device):
        model = AutoModelForCausalLM.from_config(
            config, dtype=dtype, attn_implementation=attention.NAME
        )
    return _target(shape.name, model.eval(), CONTEXT, tiny_tokenizer())


def _target(name: str, model: Any, context_length: int, tokenizer: Any) -> TargetModel:
    return TargetModel(
        name=name,
        model=model,
        tokenizer=tokenizer,
        stop_token_ids=frozenset(),
        context_length=context_length,
        weights_hash=name,
        repetition_penalty=1.0,
        device=model.device,
        dtype=model.dtype,
    )
