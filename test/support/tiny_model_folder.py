"""A model of random weights with a real tokenizer, in a folder: it loads quickly."""

from pathlib import Path
from typing import Any

import torch
from transformers import Qwen2Config, Qwen2ForCausalLM

from support.built_in_tokenizer import built_in_tokenizer


def saved_qwen2(folder: Path, **config: Any) -> Path:
    """Write a Qwen2 with the built-in model's tokenizer, and return its folder.

    Arguments:
        config: what differs from the smallest one.
    """
    tokenizer = built_in_tokenizer()
    smallest = {
        'hidden_size': 32,
        'intermediate_size': 64,
        'num_hidden_layers': 2,
        'num_attention_heads': 4,
        'num_key_value_heads': 2,
        'max_position_embeddings': 512,
        'eos_token_id': 2,
    }
    torch.manual_seed(0)
    model = Qwen2ForCausalLM(Qwen2Config(vocab_size=len(tokenizer), **(smallest | config)))
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder
