"""Folders of tiny random models, each with the same small tokenizer."""

from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast

from benchmark.architectures.tiny_configs import VOCABULARY, tiny_configs

_TEMPLATE = (
    '{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}'
    '{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}'
)
_LARGEST = 20_000_000
_NOISE = 0.05


def tiny_tokenizer() -> PreTrainedTokenizerFast:
    """Return a tokenizer of bytes and three control tokens, with a chat template."""
    control = ['<|endoftext|>', '<|im_start|>', '<|im_end|>']
    tokens = control + sorted(pre_tokenizers.ByteLevel.alphabet())
    inner = Tokenizer(models.BPE({token: index for index, token in enumerate(tokens)}, []))
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    inner.add_special_tokens(control)
    assert inner.get_vocab_size() <= VOCABULARY
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=inner, eos_token='<|im_end|>')
    tokenizer.chat_template = _TEMPLATE
    return tokenizer


def tiny_model(kind: str) -> Any:
    """Return a random model of a type, in fp32.

    Raises:
        ValueError: none of the sizes that are known makes one that runs.
    """
    reason = 'no sizes go together'
    for config in tiny_configs(kind):
        try:
            with torch.device('meta'):
                size = sum(
                    p.numel() for p in AutoModelForCausalLM.from_config(config).parameters()
                )
            if size > _LARGEST:
                raise ValueError(f'it has {size / 1e6:.0f} million parameters')
            torch.manual_seed(0)
            model = AutoModelForCausalLM.from_config(
                config, dtype=torch.float32, attn_implementation='eager'
            ).eval()
            with torch.no_grad():
                for parameter in model.parameters():
                    if parameter.ndim == 1:  # biases are zero, and so on: they must tell
                        parameter += _NOISE * torch.randn_like(parameter)
                output = model(input_ids=torch.arange(3, 11)[None], use_cache=False)
            if not torch.isfinite(output.logits).all():
                raise ValueError('its logits are not numbers')
            return model
        except Exception as error:
            reason = f'{type(error).__name__}: {str(error).strip().partition(chr(10))[0][:120]}'
    raise ValueError(reason)


def saved_model(kind: str, folder: Path) -> Any:
    """Write a tiny model's folder; return the model.

    Raises:
        ValueError: it cannot be built.
    """
    model = tiny_model(kind)
    model.generation_config.eos_token_id = None
    model.save_pretrained(folder)
    tiny_tokenizer().save_pretrained(folder)
    return model
