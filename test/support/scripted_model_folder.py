"""A model in a folder that says what it is told to: each token follows from the one before."""

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from transformers import AutoTokenizer, Qwen2Config, Qwen2ForCausalLM

from support.built_in_tokenizer import built_in_tokenizer

HIDDEN = 32
END = '<|im_end|>'
PLAIN_TEMPLATE = (
    "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}{{ 'assistant:\n' }}"
)


def saved_scripted(
    folder: Path,
    script: Sequence[str],
    template: str = PLAIN_TEMPLATE,
    added_tokens: Sequence[Any] = (),
) -> Path:
    """Write a Qwen2 that answers every question with a script, and return its folder.

    Arguments:
        script: each is one token of the built-in model's tokenizer, or an added one; no token
            twice, but the end.
        template: the chat template; it ends in '\\n', after which the script begins.
        added_tokens: what the tokenizer gets besides.
    """
    tokenizer = AutoTokenizer.from_pretrained(built_in_tokenizer().name_or_path)
    tokenizer.add_tokens(list(added_tokens))
    tokenizer.chat_template = template
    ids = []
    for text in ('\n', *script):
        (token_id,) = tokenizer(text, add_special_tokens=False)['input_ids']
        ids.append(token_id)
    assert len(set(ids)) == len(ids) <= HIDDEN
    torch.manual_seed(0)
    config = Qwen2Config(
        vocab_size=len(tokenizer),
        hidden_size=HIDDEN,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=512,
        eos_token_id=tokenizer.convert_tokens_to_ids(END),
        tie_word_embeddings=False,
    )
    model = Qwen2ForCausalLM(config)
    with torch.no_grad():
        for layer in model.model.layers:  # nothing but the newest token counts
            layer.self_attn.o_proj.weight.zero_()
            layer.mlp.down_proj.weight.zero_()
        for place, (before, after) in enumerate(pairwise(ids)):
            model.model.embed_tokens.weight[before] = torch.eye(HIDDEN)[place]
            model.lm_head.weight[after] = torch.eye(HIDDEN)[place]
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder
